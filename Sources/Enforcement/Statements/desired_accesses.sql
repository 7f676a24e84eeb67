-- Metadata database: what should be on the securables $2 of database $1: all of it ($3), of the roles $4, and whatever
-- is on the securables $5.
select role, role_kind, securable_id, kind, oid, schema_oid, access
from desired_access
where database_id = $1 and securable_id = any ($2) and ($3 or role = any ($4) or securable_id = any ($5))
