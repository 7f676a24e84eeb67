-- Target: schemas that people use: not PostgreSQL's, not the platform's, not an extension's; of the OIDs $1 alone, unless
-- that is null. Those that its superuser made, as `public`, hold what people make in them.
select n.oid::bigint as oid, n.nspname::text as name, pg_get_userbyid(n.nspowner)::text as owner,
  n.xmin::text::bigint as token
from pg_namespace n
where ($1::bigint[] is null or n.oid = any ($1::bigint[]::oid[]))
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and n.nspname not in ('__db_system', 'neon', 'neon_migration', 'pgrst', 'wal2delta')
  and pg_get_userbyid(n.nspowner) <> 'databricks_control_plane'
  and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass and d.objid = n.oid
    and d.deptype = 'e')
