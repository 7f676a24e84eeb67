-- Target: by which routes the roles $1 can still reach the relations $2, pair by pair. Routes that need SET ROLE are
-- routes too. A superuser needs no other.
with pair as (
  select p.role, p.oid::bigint as oid, r.oid as role_oid, r.rolsuper, c.relowner, c.relacl
  from unnest($1::text[], $2::bigint[]) as p (role, oid)
    join pg_roles r on r.rolname = p.role
    join pg_class c on c.oid = p.oid::oid
)
select role, oid, 'superuser' as route, null as via, null as grantor, 'ALL' as privileges from pair where rolsuper
union all
select role, oid, 'ownership', pg_get_userbyid(relowner), null, 'ALL'
from pair where not rolsuper and pg_has_role(role_oid, relowner, 'MEMBER')
union all
select role, oid, case when x.grantee = 0 then 'public' when x.grantee = role_oid then 'grant' else 'membership' end,
  case when x.grantee not in (0, role_oid) then pg_get_userbyid(x.grantee) end, pg_get_userbyid(x.grantor),
  string_agg(x.privilege_type, ', ' order by x.privilege_type)
from pair cross join lateral aclexplode(nullif(relacl || '{}'::aclitem[], '{}')) x
where not rolsuper and x.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
  and (x.grantee = 0 or pg_has_role(role_oid, x.grantee, 'MEMBER')) and x.grantee <> relowner
group by role, oid, role_oid, x.grantee, x.grantor
union all
select p.role, p.oid, 'predefined role', d.rolname, null, case d.rolname when 'pg_read_all_data' then 'SELECT'
  else 'INSERT, UPDATE, DELETE' end
from pair p join pg_roles d on d.rolname in ('pg_read_all_data', 'pg_write_all_data')
where not p.rolsuper and pg_has_role(p.role_oid, d.oid, 'MEMBER')
order by 1, 2, 3, 4, 5
