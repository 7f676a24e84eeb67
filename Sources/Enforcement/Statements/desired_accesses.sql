-- Metadata database: what should be in database $1, of the roles $2 or on the securables $3, or ($4) everything.
select role, role_kind, securable_id, kind, oid, schema_oid, access
from desired_access
where database_id = $1 and ($4 or role = any ($2) or securable_id = any ($3))
