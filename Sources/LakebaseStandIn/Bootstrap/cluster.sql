-- Roles that exist in every Lakebase instance (LAKEBASE.md, 4.1). Run as cloud_admin; may be run again.
DO $$
DECLARE
  wanted record;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('databricks_superuser', 'NOLOGIN'),
      ('databricks_control_plane', 'LOGIN SUPERUSER'),
      ('databricks_monitor', 'LOGIN'),
      ('databricks_gateway', 'LOGIN'),
      ('databricks_replicator', 'LOGIN REPLICATION'),
      ('databricks_synced_table_helper', 'NOLOGIN')
    ) AS roles (name, attributes)
  LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
      EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.attributes);
    END IF;
  END LOOP;
END
$$;

GRANT pg_read_all_data, pg_write_all_data, pg_monitor TO databricks_superuser;
GRANT pg_monitor TO databricks_monitor;
GRANT EXECUTE ON FUNCTION pg_ls_waldir() TO databricks_monitor;
