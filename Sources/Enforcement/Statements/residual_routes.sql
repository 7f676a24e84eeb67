-- Target: by which routes the roles $1 can still reach the relations $2, pair by pair; at most $4 of them. Where one of
-- the roles itself is a member of one of the audiences $3, that is a policy's doing and no route.
--
-- A route is an entry on the relation, its owner, or a predefined role, or an entry on something that gives the same
-- rows: a view with its owner's rights, a materialized view, a parent, a partition, or a SECURITY DEFINER function that
-- is known (its body is SQL that the server has parsed) or possible (its text has the name) to use the relation. What
-- runs with the caller's rights (security_invoker) gives nobody more than they have.
with recursive pair as materialized (
  select r.oid as member, p.oid::oid as oid
  from (select distinct p.role, p.oid from unnest($1::text[], $2::bigint[]) as p (role, oid)) p
    join pg_roles r on r.rolname = p.role
), asked as materialized (
  select oid, rolsuper from pg_roles where oid in (select member from pair)
), audience as materialized (
  select oid from pg_roles where rolname = any ($3::text[])
), reach (member, actor, holder, is_admin) as (
  -- A member has what holder has once it is actor: itself, or after SET ROLE; is_admin: after a GRANT to itself, which
  -- it may make. Row by row: the options came with 16, before them the member's own attribute says whether it inherits.
  select oid, oid, oid, false from asked
  union
  select r.member, n.actor, n.holder, n.is_admin
  from reach r
    cross join lateral (
      select m.roleid, m.admin_option,
        coalesce((to_jsonb(m) ->> 'inherit_option')::boolean,
          (select u.rolinherit from pg_roles u where u.oid = m.member)) as inherits,
        coalesce((to_jsonb(m) ->> 'set_option')::boolean, true) as can_set
      from pg_auth_members m
      where m.member = r.holder and not (m.member = r.member and m.roleid in (select oid from audience))
      union all
      select 'pg_database_owner'::regrole, false,
        current_setting('server_version_num')::int >= 160000
          or (select u.rolinherit from pg_roles u where u.oid = d.datdba), true
      from pg_database d where d.datname = current_database() and d.datdba = r.holder
    ) e
    cross join lateral (
      select r.actor, e.roleid, r.is_admin where e.inherits
      union all select e.roleid, e.roleid, r.is_admin where e.can_set and r.holder = r.actor
      union all select e.roleid, e.roleid, true where e.admin_option
    ) n (actor, holder, is_admin)
  where r.member not in (select oid from asked where rolsuper)
), held as materialized (
  select member, actor, holder, is_admin from reach
  union all
  -- Everybody has what PUBLIC has.
  select member, actor, 0::oid, is_admin from reach where actor = holder
), carrier (oid, rel, kind, is_route, depth) as (
  -- What gives the rows of a relation: itself, parents, partitions, and views of any of them.
  select distinct oid, oid, 'table', true, 0 from pair
  union
  select c.oid, n.rel, n.kind, n.is_route, c.depth + 1
  from carrier c
    cross join lateral (
      select v.oid, 'view', v.relkind = 'm' or c.is_route and has_any_column_privilege(v.relowner, c.rel, 'SELECT')
        and not coalesce((select o.option_value::boolean from pg_options_to_table(v.reloptions) o
            where o.option_name = 'security_invoker'), false)
      from pg_class v
      where v.relkind in ('v', 'm') and v.oid <> c.rel and v.oid in (
          select w.ev_class from pg_depend d join pg_rewrite w on w.oid = d.objid
          where d.refclassid = 'pg_class'::regclass and d.refobjid = c.rel and d.classid = 'pg_rewrite'::regclass)
      union all
      select i.inhparent, 'parent', c.is_route from pg_inherits i where i.inhrelid = c.rel and c.kind in ('table', 'parent')
      union all
      select i.inhrelid, 'partition', c.is_route from pg_inherits i
      where i.inhparent = c.rel and c.kind in ('table', 'partition')
    ) n (rel, kind, is_route)
  where c.depth < 8
), relation as materialized (
  select c.oid, c.relname, c.relkind, c.relnamespace, c.relowner, c.relacl,
    case when c.relkind = 'v' then pg_relation_is_updatable(c.oid::regclass, true) end as writable
  from pg_class c where c.oid in (select rel from carrier)
), item as materialized (
  select c.oid as rel, x.grantee, x.grantor, array_agg(x.privilege_type order by x.privilege_type) as privileges,
    null::text[] as columns
  from relation c cross join lateral aclexplode(nullif(c.relacl || '{}'::aclitem[], '{}')) x
  where x.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') and x.grantee <> c.relowner
    and (c.relkind <> 'm' or x.privilege_type = 'SELECT')
    -- The bits of UPDATE, INSERT and DELETE are those of CmdType.
    and (c.relkind <> 'v' or (array[true, c.writable & 4 > 0, c.writable & 8 > 0, c.writable & 16 > 0])[
        array_position('{SELECT,UPDATE,INSERT,DELETE}'::text[], x.privilege_type)])
  group by 1, 2, 3
  union all
  select a.rel, a.grantee, a.grantor, a.privileges, array_agg(a.attname::text order by a.attnum)
  from (
    select c.oid as rel, x.grantee, x.grantor, a.attname, a.attnum,
      array_agg(x.privilege_type order by x.privilege_type) as privileges
    from relation c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      cross join lateral aclexplode(a.attacl) x
    where x.privilege_type in ('SELECT', 'INSERT', 'UPDATE') and x.grantee <> c.relowner
    group by 1, 2, 3, 4, 5) a
  group by 1, 2, 3, 4
  union all
  select c.oid, c.relowner, null, '{ALL}', null from relation c where c.relkind <> 'v' or c.oid in (select oid from pair)
), function as materialized (
  -- Triggers are fired, not called.
  select f.oid, f.proowner, f.pronamespace, f.proacl, f.prosqlbody is not null as is_parsed, lower(f.prosrc) as source
  from pg_proc f join pg_language l on l.oid = f.prolang
  where f.prosecdef and l.lanname not in ('c', 'internal')
    and f.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
), caller as materialized (
  select c.oid, f.oid as function, f.pronamespace, x.grantee, x.grantor, bool_or(f.is_parsed) as is_certain
  from carrier c join relation r on r.oid = c.rel
    join function f on case when f.is_parsed
      then exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = f.oid
        and d.refclassid = 'pg_class'::regclass and d.refobjid = c.rel)
      else position(lower(r.relname) in f.source) > 0 end
    cross join lateral aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) x
  where has_any_column_privilege(f.proowner, c.rel, 'SELECT, INSERT, UPDATE')
    or has_table_privilege(f.proowner, c.rel, 'DELETE, TRUNCATE')
  group by 1, 2, 3, 4, 5
), predefined (name, privileges, is_certain) as (
  values ('pg_read_all_data', '{SELECT}'::text[], true), ('pg_write_all_data', '{DELETE,INSERT,UPDATE}', true),
    ('pg_read_server_files', '{SELECT}', false), ('pg_write_server_files', '{ALL}', false),
    ('pg_execute_server_program', '{ALL}', false)
), found as (
  select p.member, p.oid, 'superuser' as route, h.actor, h.holder, h.is_admin, null::oid as grantor,
    '{ALL}'::text[] as privileges, null::text[] as columns, null::text as object, null::oid as rel, null::oid as schema,
    true as is_certain
  from held h join pg_roles s on s.oid = h.holder and s.rolsuper join pair p on p.member = h.member
  where h.actor = h.holder
  union all
  select p.member, p.oid,
    case when c.kind <> 'table' then c.kind when i.grantor is null then 'ownership' when i.grantee = 0 then 'public'
      when i.grantee = p.member then 'grant' else 'membership' end,
    h.actor, h.holder, h.is_admin, i.grantor, i.privileges, i.columns,
    case when c.kind <> 'table' then c.rel::regclass::text end, case when c.kind <> 'table' then c.rel end,
    r.relnamespace, true
  from pair p join carrier c on c.oid = p.oid and c.is_route join relation r on r.oid = c.rel
    join item i on i.rel = c.rel join held h on h.member = p.member and h.holder = i.grantee
  union all
  select p.member, p.oid, 'predefined role', h.actor, h.holder, h.is_admin, null, d.privileges, null, null, null,
    case when d.is_certain then r.relnamespace end, d.is_certain
  from pair p join relation r on r.oid = p.oid join held h on h.member = p.member
    join pg_roles b on b.oid = h.holder join predefined d on d.name = b.rolname
  union all
  -- Before 16 CREATEROLE gives whoever has it any role but a superuser's.
  select p.member, p.oid, 'createrole', h.actor, h.holder, true, null, '{DELETE,INSERT,SELECT,UPDATE}', null, null,
    null, null, true
  from pair p join held h on h.member = p.member and h.actor = h.holder join pg_roles b on b.oid = h.holder
  where b.rolcreaterole and current_setting('server_version_num')::int < 160000
  union all
  select p.member, p.oid, 'function', h.actor, h.holder, h.is_admin, c.grantor, '{EXECUTE}', null,
    c.function::regprocedure::text, null, c.pronamespace, c.is_certain
  from pair p join caller c on c.oid = p.oid join held h on h.member = p.member and h.holder = c.grantee
), usable as materialized (
  select s.actor, s.schema, has_schema_privilege(s.actor, s.schema, 'USAGE') as is_usable
  from (select distinct actor, schema from found where schema is not null) s
), connected as materialized (
  select oid, has_database_privilege(oid, current_database(), 'CONNECT') as can_connect from asked
), ranked as (
  select f.*, c.can_connect and coalesce(u.is_usable, true) as is_effective
  from found f join connected c on c.oid = f.member
    left join usable u on u.actor = f.actor and u.schema = f.schema
  where f.route = 'superuser' or f.member not in (select oid from asked where rolsuper)
), distinguished as (
  select distinct on (member, oid, route, object, holder, grantor, privileges, columns, is_admin) *
  from ranked
  order by member, oid, route, object, holder, grantor, privileges, columns, is_admin, is_effective desc, actor <> member
), best as (
  -- What needs a GRANT first is told where nothing else is as good.
  select * from (
    select *, bool_or(not is_admin) over same as has_other, bool_or(not is_admin and is_effective) over same as has_better
    from distinguished window same as (partition by member, oid, route, object, holder, grantor, privileges, columns)) d
  where not is_admin or not has_other or is_effective and not has_better
)
select pg_get_userbyid(b.member) as role, b.oid::bigint as oid, b.route, b.object,
  case when b.holder = 0 then case when b.route <> 'public' then 'PUBLIC' end
    when b.holder <> b.member or b.route = 'ownership' then pg_get_userbyid(b.holder) end as via,
  case when b.is_admin then 'admin' when b.actor <> b.member then 'set' when b.holder not in (0, b.member) then 'inherit'
    end as how,
  -- The role that the member was itself made a member of, where that is another one.
  case when b.holder not in (0, b.member) and not exists (select from pg_auth_members m
      where m.member = b.member and m.roleid = b.holder)
    then (select min(g.rolname) from pg_auth_members m join pg_roles g on g.oid = m.roleid
      where m.member = b.member and pg_has_role(m.roleid, b.holder, 'MEMBER')
        and m.roleid not in (select oid from audience)) end as member_of,
  pg_get_userbyid(b.grantor) as grantor, array_to_string(b.privileges, ', ') as privileges, b.columns, b.is_effective,
  b.is_certain, b.rel::bigint as relation
from (
  select * from best order by not is_effective, not is_certain, member, oid, route, object, holder, grantor limit $4
) b
order by not b.is_effective, not b.is_certain, 1, 2, 3, 4, 5, 8, 9
