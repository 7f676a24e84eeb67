-- What every database of a Lakebase instance holds (LAKEBASE.md, 4.1 and 4.2). Run as cloud_admin in template1, so
-- that new databases have it, and in databricks_postgres; may be run again.

DO $$
DECLARE
  database_oid oid := (SELECT oid FROM pg_database WHERE datname = current_database());
  role_name text;
BEGIN
  EXECUTE format('GRANT ALL ON DATABASE %I TO databricks_superuser WITH GRANT OPTION', current_database());
  IF current_database() LIKE 'template_' THEN
    RETURN;
  END IF;
  FOREACH role_name IN ARRAY ARRAY['databricks_writer_' || database_oid, 'databricks_reader_' || database_oid] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role_name);
  END LOOP;
  EXECUTE format('GRANT CREATE ON DATABASE %I TO %I', current_database(), 'databricks_writer_' || database_oid);
END
$$;

GRANT ALL ON SCHEMA public TO databricks_superuser WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO databricks_superuser WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO databricks_superuser WITH GRANT OPTION;

-- Partitions of synced tables live here, out of the users' sight.
CREATE SCHEMA IF NOT EXISTS __db_system AUTHORIZATION databricks_control_plane;
CREATE TABLE IF NOT EXISTS __db_system.partition_0 (id bigint);
ALTER TABLE __db_system.partition_0 OWNER TO databricks_control_plane;

-- The three event triggers. They run as whoever creates the object, which makes its owner the grantor. Objects made
-- while they did not fire, and foreign tables, lack the grants.
CREATE OR REPLACE FUNCTION public.grant_usage_on_new_schema() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
  created record;
  database_oid oid := (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database());
BEGIN
  FOR created IN SELECT * FROM pg_catalog.pg_event_trigger_ddl_commands() WHERE object_type = 'schema' LOOP
    EXECUTE format(
      'GRANT USAGE, CREATE ON SCHEMA %s TO databricks_superuser WITH GRANT OPTION', created.object_identity);
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO databricks_gateway', created.object_identity);
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'databricks_writer_' || database_oid) THEN
      EXECUTE format(
        'GRANT USAGE, CREATE ON SCHEMA %s TO %I', created.object_identity, 'databricks_writer_' || database_oid);
      EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', created.object_identity, 'databricks_reader_' || database_oid);
    END IF;
  END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION public.grant_all_on_new_sequences() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
  created record;
BEGIN
  FOR created IN SELECT * FROM pg_catalog.pg_event_trigger_ddl_commands() WHERE object_type = 'sequence' LOOP
    EXECUTE format('GRANT ALL ON SEQUENCE %s TO databricks_superuser WITH GRANT OPTION', created.object_identity);
  END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION public.grant_select_on_new_objects() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
  created record;
  reader text := 'databricks_reader_' || (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database());
BEGIN
  FOR created IN
    SELECT DISTINCT object_identity, object_type FROM pg_catalog.pg_event_trigger_ddl_commands()
    WHERE object_type IN ('table', 'view', 'materialized view', 'sequence')
  LOOP
    IF created.object_type = 'sequence' THEN
      EXECUTE format('GRANT ALL ON SEQUENCE %s TO databricks_superuser WITH GRANT OPTION', created.object_identity);
      CONTINUE;
    END IF;
    EXECUTE format(
      'GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON %s TO databricks_superuser '
      || 'WITH GRANT OPTION', created.object_identity);
    EXECUTE format('GRANT SELECT ON %s TO databricks_gateway, databricks_replicator', created.object_identity);
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = reader) THEN
      EXECUTE format('GRANT SELECT ON %s TO %I', created.object_identity, reader);
    END IF;
  END LOOP;
END
$$;

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'on_create_schema') THEN
    CREATE EVENT TRIGGER on_create_schema ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA')
      EXECUTE FUNCTION public.grant_usage_on_new_schema();
    CREATE EVENT TRIGGER on_create_sequence ON ddl_command_end WHEN TAG IN ('CREATE SEQUENCE')
      EXECUTE FUNCTION public.grant_all_on_new_sequences();
    CREATE EVENT TRIGGER on_create_table_or_view ON ddl_command_end
      WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'CREATE VIEW', 'CREATE MATERIALIZED VIEW')
      EXECUTE FUNCTION public.grant_select_on_new_objects();
  END IF;
END
$$;

-- In place of the databricks_auth extension. On a real instance the binding is a security label of the role; here it
-- is the role's comment. Identities whose name ends in @unknown.example are not in the workspace.
CREATE OR REPLACE FUNCTION public.databricks_create_role(role_name text, identity_type text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  is_allowed boolean := (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = session_user);
  is_superuser boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = session_user);
  options text := 'WITH ADMIN OPTION';
BEGIN
  IF NOT coalesce(is_allowed, false) THEN
    RAISE EXCEPTION 'permission denied to create role' USING ERRCODE = '42501',
      DETAIL = 'Only roles with the CREATEROLE attribute may create roles.';
  END IF;
  IF identity_type IS NULL OR upper(identity_type) NOT IN ('USER', 'SERVICE_PRINCIPAL', 'GROUP') THEN
    RAISE EXCEPTION 'invalid identity type "%"', identity_type USING ERRCODE = '22023';
  END IF;
  IF role_name IS NULL OR role_name = '' OR role_name LIKE '%@unknown.example' THEN
    RAISE EXCEPTION 'identity "%" does not exist in the workspace', role_name USING ERRCODE = '22023';
  END IF;
  EXECUTE format('CREATE ROLE %I LOGIN INHERIT', role_name);
  EXECUTE format(
    'COMMENT ON ROLE %I IS %L', role_name,
    format('databricks_auth id=%s,type=%s', abs(hashtext(role_name)), lower(identity_type)));
  IF NOT is_superuser THEN
    IF current_setting('server_version_num')::int >= 160000 THEN
      options := 'WITH ADMIN TRUE, INHERIT FALSE, SET FALSE';
    END IF;
    EXECUTE format('GRANT %I TO %I %s', role_name, session_user, options);
  END IF;
END
$$;

CREATE OR REPLACE VIEW public.databricks_list_roles AS
SELECT rolname::text AS role_name,
  upper(substring(shobj_description(oid, 'pg_authid') FROM 'type=([a-z_]+)')) AS identity_type
FROM pg_catalog.pg_roles
WHERE shobj_description(oid, 'pg_authid') LIKE 'databricks_auth %';
GRANT SELECT ON public.databricks_list_roles TO PUBLIC;
