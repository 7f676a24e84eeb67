-- Target: every entry of the roles $1 on the relations $2, on the sequences that their columns own, on the schemas $3
-- and those of the relations, and on the database. What PUBLIC has of schemas and database comes with an empty role.
-- is_ours: our REVOKE removes the entry, because it acts as its grantor (select_best_grantor in acl.c): as the owner for
-- superusers and owners; else as ourselves where we hold the grant option; else as the owner or as a role with the
-- grant option whose privileges we inherit. is_owned: what an owner has from being the owner.
with me as (
  select oid, rolsuper from pg_roles where rolname = current_user
), grantee as (
  select oid, rolname from pg_roles where rolname = any ($1)
), relation as materialized (
  -- By OID, however few sequences the server believes there are: a scan of pg_class takes longer than all of this.
  select c.oid, c.relkind, c.relnamespace, c.relowner, c.relacl
  from (
      select oid, bool_or(is_named) as is_named
      from (
        select unnest($2::bigint[]::oid[]) as oid, true as is_named
        union all
        select d.objid, false from pg_depend d
        where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype = 'a'
          and d.refobjid = any ($2::bigint[]::oid[])) as r
      group by oid) as asked
    cross join lateral (
      select * from pg_class c where c.oid = asked.oid and (asked.is_named or c.relkind = 'S') offset 0) as c
), securable as materialized (
  select case c.relkind when 'S' then 'sequence' else 'table' end as family, c.oid, c.relnamespace as schema,
    c.relowner as owner,
    coalesce(c.relacl, acldefault((case c.relkind when 'S' then 's' else 'r' end)::"char", c.relowner)) as acl
  from relation c
  union all
  select 'schema', n.oid, n.oid, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
  from pg_namespace n
  where n.oid = any ($3::bigint[]::oid[])
    or n.oid in (select relnamespace from relation)
  union all
  select 'database', b.oid, null, b.datdba, coalesce(b.datacl, acldefault('d', b.datdba))
  from pg_database b
  where b.datname = current_database()
), held as materialized (
  select s.family, s.oid, s.schema, s.owner, x.grantor, x.grantee, x.privilege_type as privilege, g.rolname,
    x.grantor = me.oid and s.acl @> makeaclitem(me.oid, s.owner, x.privilege_type, true) as is_mine
  from securable s cross join me
    cross join lateral aclexplode(nullif(s.acl || '{}'::aclitem[], '{}')) x
    left join grantee g on g.oid = x.grantee
  where g.oid is not null or x.grantee = 0 and s.family in ('schema', 'database')
), unclear as (
  -- We come first, and hold the grant option from the owner as a rule. Only where we do not, it depends on who else does.
  select distinct h.family, h.oid from held h cross join me
  where not h.is_mine and h.owner <> me.oid and not me.rolsuper
), inherited as materialized (
  select oid from pg_roles where pg_has_role(oid, 'USAGE')
), option as materialized (
  select distinct on (s.family, s.oid, x.privilege_type) s.family, s.oid, x.privilege_type as privilege,
    x.grantee as role
  from securable s join unclear u on u.family = s.family and u.oid = s.oid
    cross join lateral aclexplode(nullif(s.acl || '{}'::aclitem[], '{}')) x cross join me
  where x.is_grantable and x.grantee in (select oid from inherited)
  order by s.family, s.oid, x.privilege_type, x.grantee = me.oid desc,
    count(*) over (partition by s.family, s.oid, x.grantee) desc, x.grantee
)
select h.family, h.oid::bigint as oid, h.schema::bigint as schema, coalesce(h.rolname, '') as role,
  h.privilege, pg_get_userbyid(h.grantor) as grantor,
  h.grantee = h.owner and h.grantor = h.owner as is_owned,
  coalesce(h.grantor = case when me.rolsuper or h.owner = me.oid then h.owner
    when h.is_mine or o.role = me.oid then me.oid
    when h.owner in (select oid from inherited) then h.owner else o.role end, false) as is_ours
from held h cross join me
  left join option o on o.family = h.family and o.oid = h.oid and o.privilege = h.privilege
