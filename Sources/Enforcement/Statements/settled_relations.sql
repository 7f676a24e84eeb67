-- Target: of the roles $1 on the relations $2 those pairs that are as they should be already, so that nobody has to read
-- them: exactly the privileges $3 (a sorted list), by one grantor whose privileges we have, with USAGE of the schema,
-- CONNECT to the database and, where the list has INSERT, USAGE of the sequences that the columns own.
with wanted as materialized (
  select w.role as name, r.oid as role, c.oid, c.relnamespace as schema, c.relacl, w.privileges
  from unnest($1::text[], $2::bigint[], $3::text[]) as w (role, oid, privileges)
    join pg_roles r on r.rolname = w.role
    join pg_class c on c.oid = w.oid::oid
), opened as materialized (
  select n.oid as schema, x.grantee
  from pg_namespace n cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner)) || '{}'::aclitem[]) x
  where n.oid in (select schema from wanted) and x.privilege_type = 'USAGE'
), connected as materialized (
  select x.grantee
  from pg_database b cross join lateral aclexplode(coalesce(b.datacl, acldefault('d', b.datdba)) || '{}'::aclitem[]) x
  where b.datname = current_database() and x.privilege_type = 'CONNECT'
)
select w.name as role, w.oid::bigint as oid
from wanted w cross join lateral (
    select string_agg(x.privilege_type, ',' order by x.privilege_type) as privileges,
      count(distinct x.grantor) as grantors, bool_and(pg_has_role(x.grantor, 'USAGE')) as is_ours
    from aclexplode(nullif(w.relacl || '{}'::aclitem[], '{}')) x where x.grantee = w.role
  ) held
where held.privileges = w.privileges and held.grantors = 1 and held.is_ours
  and exists (select from opened o where o.schema = w.schema and o.grantee in (0, w.role))
  and exists (select from connected o where o.grantee in (0, w.role))
  and (w.privileges !~ 'INSERT' or not exists (
    select from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S'
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype = 'a'
      and d.refobjid = w.oid and not exists (
        select from aclexplode(nullif(s.relacl || '{}'::aclitem[], '{}')) x
        where x.grantee = w.role and x.privilege_type = 'USAGE')))
