-- Target: table-like relations; of the OIDs $1 alone, unless that is null. Leaf partitions are reached through their
-- parent; what an extension or the platform owns is not anybody's data.
--
-- Tokens tell whether something changed since they were last read: that of the row in pg_class moves with owner, name,
-- schema and grants, the one of the columns with their names, types and number, neither with VACUUM or ANALYZE. They
-- are compared for being equal only, so a counter that wraps around does no harm: a row has an old number again after
-- four thousand million transactions at the earliest. The sum, because the greatest stays as it is where a transaction
-- with a smaller number, or one after the counter wrapped around, changes one column of several.
select c.oid::bigint as oid, c.relnamespace::bigint as schema_oid, c.relname::text as name,
  case c.relkind when 'r' then 'table' when 'p' then 'partitioned_table' when 'v' then 'view'
    when 'm' then 'materialized_view' when 'f' then 'foreign_table' end as kind,
  pg_get_userbyid(c.relowner)::text as owner, c.xmin::text::bigint as token,
  (select coalesce(sum(a.xmin::text::bigint), 0)::bigint from pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0) as columns_token
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where ($1::bigint[] is null or c.oid = any ($1::bigint[]::oid[]))
  and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and c.relpersistence <> 't'
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and n.nspname not in ('__db_system', 'neon', 'neon_migration', 'pgrst', 'wal2delta')
  and pg_get_userbyid(c.relowner) not in ('cloud_admin', 'databricks_control_plane')
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
    and d.deptype = 'e')
