-- Target: those of the roles $1 that exist, with their comments.
select rolname as name, oid::bigint as oid, shobj_description(oid, 'pg_authid') as comment
from pg_roles where rolname = any ($1)
