-- Target: table-like relations: all ($1 null), or of the schema with OID $1 or name $2 (only those named $3 there, if it
-- is given), and those of the OIDs $4 wherever they are now. Leaf partitions are reached through their parent; what an
-- extension or the platform owns is not anybody's data.
select c.oid::bigint as oid, n.oid::bigint as schema_oid, c.relname as name, c.relkind as kind,
  pg_get_userbyid(c.relowner) as owner
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and c.relpersistence <> 't'
  and ($1::bigint is null or c.oid = any ($4::bigint[]::oid[])
    or (n.oid = $1::bigint::oid or n.nspname = $2) and ($3::text is null or c.relname = $3))
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and n.nspname not in ('__db_system', 'neon', 'neon_migration', 'pgrst', 'wal2delta')
  and pg_get_userbyid(c.relowner) not in ('cloud_admin', 'databricks_control_plane')
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
    and d.deptype = 'e')
order by c.oid
