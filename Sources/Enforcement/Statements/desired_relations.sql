-- Metadata database: the relations of database $2 on which roles of connection $1 should have something, and those (with
-- no access) on which they were given something that is not known to be gone: of the roles $4, or ($3) of all.
select role, oid, kind, access from desired_access where database_id = $2 and ($3 or role = any ($4))
union all
select g.role, s.oid, s.kind, null
from (select distinct role, securable_id from managed_grant where connection_id = $1) g
  join securable s on s.id = g.securable_id
where s.database_id = $2 and s.kind <> 'schema' and ($3 or g.role = any ($4))
