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
  from pg_class c
  where c.oid = any ($2::bigint[]::oid[] || array(
      select d.objid from pg_depend d
      where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype = 'a'
        and d.refobjid = any ($2::bigint[]::oid[])))
    and (c.relkind = 'S' or c.oid = any ($2::bigint[]::oid[]))
), securable as (
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
), item as materialized (
  select s.family, s.oid, s.schema, s.owner, x.grantor, x.grantee, x.privilege_type, x.is_grantable
  from securable s cross join lateral aclexplode(nullif(s.acl || '{}'::aclitem[], '{}')) x
), inherited as materialized (
  select oid from pg_roles where pg_has_role(oid, 'USAGE')
), option as materialized (
  select distinct on (i.family, i.oid, i.privilege_type) i.family, i.oid, i.privilege_type, i.grantee as role
  from item i cross join me
  where i.is_grantable and i.grantee in (select oid from inherited)
  order by i.family, i.oid, i.privilege_type, i.grantee = me.oid desc,
    count(*) over (partition by i.family, i.oid, i.grantee) desc, i.grantee
)
select i.family, i.oid::bigint as oid, i.schema::bigint as schema, coalesce(g.rolname, '') as role,
  i.privilege_type as privilege, pg_get_userbyid(i.grantor) as grantor,
  i.grantee = i.owner and i.grantor = i.owner as is_owned,
  coalesce(i.grantor = case when me.rolsuper or i.owner = me.oid then i.owner when o.role = me.oid then me.oid
    when i.owner in (select oid from inherited) then i.owner else o.role end, false) as is_ours
from item i cross join me
  left join grantee g on g.oid = i.grantee
  left join option o on o.family = i.family and o.oid = i.oid and o.privilege_type = i.privilege_type
where g.oid is not null or i.grantee = 0 and i.family in ('schema', 'database')
