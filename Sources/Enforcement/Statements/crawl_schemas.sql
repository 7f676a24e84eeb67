-- Target: schemas that people use: not PostgreSQL's, not the platform's, not an extension's.
select n.oid::bigint as oid, n.nspname as name, pg_get_userbyid(n.nspowner) as owner
from pg_namespace n
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and n.nspname not in ('__db_system', 'neon', 'neon_migration', 'pgrst', 'wal2delta')
  and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass and d.objid = n.oid
    and d.deptype = 'e')
order by n.oid
