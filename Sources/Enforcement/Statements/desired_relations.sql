-- Metadata database: the relations of database $2 on which roles of connection $1 should have something, and those (with
-- no access) on which they were given something that is not known to be gone: of the roles $4, which belong to audiences
-- or to the people $5, or ($3) of all.
select role, oid, kind, access from desired_access where database_id = $2 and $3
union all
select role, oid, kind, access from desired_access
where database_id = $2 and not $3 and role_kind = 'audience' and role = any ($4)
union all
select role, oid, kind, access from desired_access
where database_id = $2 and not $3 and role_kind = 'user' and identity_id = any ($5) and role = any ($4)
union all
select distinct g.role, s.oid, s.kind, null
from managed_grant g join securable s on s.id = g.securable_id
where g.connection_id = $1 and s.database_id = $2 and s.kind <> 'schema' and ($3 or g.role = any ($4))
