-- Target: every grant in this database to the roles $1, found from the roles (pg_shdepend is indexed by them), and
-- on the securables $2 even where the grantee owns them (owners have no dependency there). PUBLIC's prerequisites come
-- with an empty role. is_ours: the grantor is one that our REVOKE acts as.
with grantee as (
  select oid, rolname from pg_roles where rolname = any ($1)
), depends as (
  select distinct d.classid, d.objid
  from pg_shdepend d join grantee g on d.refclassid = 'pg_authid'::regclass and d.refobjid = g.oid
  where d.deptype = 'a' and d.objsubid = 0
    and d.dbid in (0, (select oid from pg_database where datname = current_database()))
), item as (
  select case c.relkind when 'S' then 'sequence' else 'table' end as family, c.oid, x.*
  from pg_class c cross join lateral aclexplode(nullif(c.relacl || '{}'::aclitem[], '{}')) x
  where c.oid in (select objid from depends where classid = 'pg_class'::regclass)
    or c.oid = any ($2::bigint[]::oid[])
  union all
  select 'schema', n.oid, x.*
  from pg_namespace n
    cross join lateral aclexplode(nullif(coalesce(n.nspacl, acldefault('n', n.nspowner)) || '{}'::aclitem[], '{}')) x
  where n.oid in (select objid from depends where classid = 'pg_namespace'::regclass)
    or n.oid in (select relnamespace from pg_class where oid = any ($2::bigint[]::oid[]))
  union all
  select 'database', b.oid, x.*
  from pg_database b
    cross join lateral aclexplode(nullif(coalesce(b.datacl, acldefault('d', b.datdba)) || '{}'::aclitem[], '{}')) x
  where b.datname = current_database()
)
select i.family, i.oid::bigint as oid, coalesce(g.rolname, '') as role, i.privilege_type as privilege,
  pg_has_role(i.grantor, 'USAGE') as is_ours, pg_get_userbyid(i.grantor) as grantor
from item i left join grantee g on g.oid = i.grantee
where g.oid is not null or i.grantee = 0
