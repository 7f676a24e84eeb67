-- Metadata database: what should be on the securables $2 of database $1: all of it ($3), whatever is on the securables $5,
-- and what is of the roles $4, which belong to audiences or to the people $6.
select role, role_kind, securable_id, kind, oid, schema_oid, access
from desired_access
where database_id = $1 and securable_id = any ($2) and ($3 or securable_id = any ($5))
union all
select role, role_kind, securable_id, kind, oid, schema_oid, access
from desired_access
where database_id = $1 and securable_id = any ($2) and not $3 and securable_id <> all ($5)
  and role_kind = 'audience' and role = any ($4)
union all
select role, role_kind, securable_id, kind, oid, schema_oid, access
from desired_access
where database_id = $1 and securable_id = any ($2) and not $3 and securable_id <> all ($5)
  and role_kind = 'user' and identity_id = any ($6) and role = any ($4)
