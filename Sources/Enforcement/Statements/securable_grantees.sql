-- Target: which roles hold something on the relations $1.
select distinct r.rolname as role
from pg_class c cross join lateral aclexplode(nullif(c.relacl || '{}'::aclitem[], '{}')) x
  join pg_roles r on r.oid = x.grantee
where c.oid = any ($1::bigint[]::oid[]) and x.grantee <> c.relowner
