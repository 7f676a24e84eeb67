-- Target: the relations and sequences $1 that still exist, the schemas $2 and the database, with what each is called now.
select 'relation' as family, c.oid::bigint as oid, c.relkind::text as kind, n.oid::bigint as schema_oid,
  n.nspname as schema, c.relname as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = any ($1::bigint[]::oid[])
union all
select 'schema', n.oid::bigint, null, null, null, n.nspname
from pg_namespace n where n.oid = any ($2::bigint[]::oid[])
union all
select 'database', b.oid::bigint, null, null, null, b.datname
from pg_database b where b.datname = current_database()
