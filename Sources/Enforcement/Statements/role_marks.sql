-- Target: those of the roles $1 that exist, with their comments, and whether the policy role $2 administers them.
with administered as materialized (
  select m.roleid from pg_auth_members m
  where m.admin_option and m.member in (select oid from pg_roles where rolname = $2)
)
select r.rolname as name, r.oid::bigint as oid, shobj_description(r.oid, 'pg_authid') as comment,
  r.oid in (select roleid from administered) as is_administered
from pg_roles r where r.rolname = any ($1)
