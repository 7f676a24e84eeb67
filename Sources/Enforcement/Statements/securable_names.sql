-- Target: the names of the relations and sequences $1 and of the schemas $2, read in the transaction that grants.
select 'table' as family, c.oid::bigint as oid, n.nspname as schema, c.relname as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = any ($1::bigint[]::oid[])
union all
select 'schema', n.oid::bigint, null, n.nspname from pg_namespace n where n.oid = any ($2::bigint[]::oid[])
union all
select 'database', b.oid::bigint, null, b.datname from pg_database b where b.datname = current_database()
