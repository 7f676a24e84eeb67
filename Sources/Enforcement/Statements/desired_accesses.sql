-- Metadata database: what should be on securables of database $1; followed by which ones, and by whose.
select role, role_kind, securable_id, kind, oid, schema_oid, access
from desired_access
where database_id = $1
