-- Target: table-like relations (all; of schema $1 or of OIDs $4; of OID $2 or named $3 in that schema). Leaf partitions are reached
-- through their parent; what an extension or the platform owns is not anybody's data.
select c.oid::bigint as oid, n.oid::bigint as schema_oid, c.relname as name, c.relkind as kind,
  pg_get_userbyid(c.relowner) as owner
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and c.relpersistence <> 't'
  and ($1::text is null or n.nspname = $1 or c.oid = $2::bigint::oid or c.oid = any ($4::bigint[]::oid[]))
  and ($2::bigint is null or c.oid = $2::bigint::oid or c.relname = $3)
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and n.nspname not in ('__db_system', 'neon', 'neon_migration', 'pgrst', 'wal2delta')
  and pg_get_userbyid(c.relowner) not in ('cloud_admin', 'databricks_control_plane')
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
    and d.deptype = 'e')
order by c.oid
