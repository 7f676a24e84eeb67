-- Target: the relations $1 that still exist, the sequences that their columns own (serial, not identity: an INSERT into
-- an identity column needs no privilege on its sequence), the schemas $2 and the database, with what each is called now.
with owned as materialized (
  select d.objid, d.refobjid from pg_depend d
  where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype = 'a'
    and d.refobjid = any ($1::bigint[]::oid[])
)
select 'relation' as family, c.oid::bigint as oid, c.relkind::text as kind, n.oid::bigint as schema_oid,
  n.nspname as schema, c.relname as name, null::bigint as owner
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = any ($1::bigint[]::oid[])
union all
select 'relation', s.oid::bigint, 'S', n.oid::bigint, n.nspname, s.relname, d.refobjid::bigint
from owned d join pg_class s on s.oid = d.objid and s.relkind = 'S' join pg_namespace n on n.oid = s.relnamespace
where s.oid = any (array(select objid from owned))
union all
select 'schema', n.oid::bigint, null, null, null, n.nspname, null
from pg_namespace n where n.oid = any ($2::bigint[]::oid[])
union all
select 'database', b.oid::bigint, null, null, null, b.datname, null
from pg_database b where b.datname = current_database()
