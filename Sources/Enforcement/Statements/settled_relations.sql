-- Target: of the roles $1 on the relations $2 those pairs that are as they should be already, so that nobody has to read
-- them: exactly the privileges $3 (a sorted list), by one grantor whose privileges we have, with USAGE of the schema and
-- CONNECT to the database (of their own, or as members of the audiences $4) and, where the list has INSERT, USAGE of the
-- sequences that the columns own.
-- Sets are intersected and looked up by hash: of how many there are the server has no idea, and would loop.
with wanted as materialized (
  select r.oid as role, c.oid, c.relnamespace as schema, w.privileges
  from unnest($1::text[], $2::bigint[], $3::text[]) as w (role, oid, privileges)
    join pg_roles r on r.rolname = w.role
    join pg_class c on c.oid = w.oid::oid
), held as materialized (
  select x.grantee as role, c.oid, c.relnamespace as schema,
    string_agg(x.privilege_type, ',' order by x.privilege_type) as privileges
  from pg_class c cross join lateral aclexplode(nullif(c.relacl || '{}'::aclitem[], '{}')) x
  where c.oid in (select oid from wanted) and x.grantee in (select role from wanted)
  group by x.grantee, c.oid, c.relnamespace
  having min(x.grantor) = max(x.grantor)
    and min(x.grantor) in (select oid from pg_roles where pg_has_role(oid, 'USAGE'))
), opened as materialized (
  select n.oid as schema, x.grantee as role
  from pg_namespace n
    cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner)) || '{}'::aclitem[]) x
  where n.oid in (select schema from wanted) and x.privilege_type = 'USAGE'
), connected as materialized (
  select x.grantee as role
  from pg_database b
    cross join lateral aclexplode(coalesce(b.datacl, acldefault('d', b.datdba)) || '{}'::aclitem[]) x
  where b.datname = current_database() and x.privilege_type = 'CONNECT'
), member as materialized (
  select m.roleid as audience, m.member as role
  from pg_roles r join pg_auth_members m on m.roleid = r.oid
  where r.rolname = any ($4)
)
select pg_get_userbyid(e.role) as role, e.oid::bigint as oid
from (select * from wanted intersect select * from held) e
where ((e.schema, e.role) in (select schema, role from opened)
    or e.schema in (select schema from opened where role = 0)
    or (e.schema, e.role) in (select o.schema, m.role from opened o join member m on m.audience = o.role))
  and (e.role in (select role from connected) or 0 in (select role from connected)
    or e.role in (select m.role from connected c join member m on m.audience = c.role))
  and (e.privileges !~ 'INSERT' or not exists (
    select from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S'
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype = 'a'
      and d.refobjid = e.oid and not exists (
        select from aclexplode(nullif(s.relacl || '{}'::aclitem[], '{}')) x
        where x.grantee = e.role and x.privilege_type = 'USAGE')))
