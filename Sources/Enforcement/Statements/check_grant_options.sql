-- Target: table-like relations whose SELECT this role could not grant. has_table_privilege knows ownership and
-- inherited grant options; pg_read_all_data gives the privilege without the option, which is just the trap.
select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and c.relpersistence <> 't'
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and n.nspname not in ('__db_system', 'neon', 'neon_migration', 'pgrst', 'wal2delta')
  and pg_get_userbyid(c.relowner) not in ('cloud_admin', 'databricks_control_plane')
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
    and d.deptype = 'e')
  and not has_table_privilege(c.oid, 'SELECT WITH GRANT OPTION')
order by 1
