-- Target: what this role could not grant in this database, by schema and privileges, with a few names and how many.
-- has_…_privilege knows ownership and inherited grant options; pg_read_all_data gives the privilege without the
-- option, which is just the trap. What PUBLIC has of a schema or the database need not be granted.
with relation as (
  select c.oid, c.relname, c.relkind, n.oid as schema_oid, n.nspname
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and c.relpersistence <> 't'
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and n.nspname not in ('__db_system', 'neon', 'neon_migration', 'pgrst', 'wal2delta')
    and pg_get_userbyid(c.relowner) not in ('cloud_admin', 'databricks_control_plane')
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
      and d.deptype = 'e')
), missing as (
  select 'TABLE' as family, r.nspname as schema, format('%I.%I', r.nspname, r.relname) as name,
    string_agg(p.name, ', ' order by p.position) as privileges
  from relation r
    cross join unnest(case r.relkind when 'm' then array['SELECT']
      when 'v' then array['SELECT', 'INSERT', 'UPDATE', 'DELETE']
      when 'f' then array['SELECT', 'INSERT', 'UPDATE', 'DELETE']
      else array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'] end) with ordinality as p (name, position)
  where not has_table_privilege(r.oid, p.name || ' WITH GRANT OPTION')
  group by r.oid, r.nspname, r.relname
  union all
  select 'SEQUENCE', r.nspname, format('%I.%I', sn.nspname, s.relname), 'USAGE'
  from relation r
    cross join lateral (
      select d.objid as oid from pg_depend d
      where d.refclassid = 'pg_class'::regclass and d.refobjid = r.oid and d.classid = 'pg_class'::regclass
        and d.deptype = 'a'
      union
      select d.refobjid from pg_attrdef a join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
        and d.refclassid = 'pg_class'::regclass
      where a.adrelid = r.oid) u
    join pg_class s on s.oid = u.oid
    join pg_namespace sn on sn.oid = s.relnamespace
  -- CASE, because the function raises an error for what is no sequence, and conditions have no order.
  where case s.relkind when 'S' then not has_sequence_privilege(s.oid, 'USAGE WITH GRANT OPTION') else false end
  union all
  select distinct 'SCHEMA', r.nspname, quote_ident(r.nspname), 'USAGE'
  from relation r
  where not has_schema_privilege(r.schema_oid, 'USAGE WITH GRANT OPTION')
    and not has_schema_privilege('public', r.schema_oid, 'USAGE')
  union all
  select 'DATABASE', '', quote_ident(current_database()), 'CONNECT'
  where not has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION')
    and not has_database_privilege('public', current_database(), 'CONNECT')
)
select family, quote_ident(schema) as schema, privileges, count(*) as number,
  (array_agg(name order by name))[1:3] as names
from missing
group by family, schema, privileges
order by family, schema, privileges
