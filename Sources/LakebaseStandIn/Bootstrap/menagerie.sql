-- One of everything that makes grants hard, for tests (LAKEBASE.md, b.2.8). Run once as cloud_admin.
SELECT databricks_create_role('owner one@example.com', 'USER'), databricks_create_role('owner-two@example.com', 'USER'),
  databricks_create_role('3f0c0de5-0000-4000-8000-00000000beef', 'SERVICE_PRINCIPAL'),
  databricks_create_role('Data Readers', 'GROUP');

CREATE SCHEMA zoo;
GRANT USAGE, CREATE ON SCHEMA zoo TO "owner one@example.com", "owner-two@example.com";

SET ROLE "owner one@example.com";
CREATE TABLE zoo.plain (id integer GENERATED ALWAYS AS IDENTITY, value text);
CREATE TABLE zoo.with_serial (id serial, value text);
CREATE TABLE zoo.partitioned (id integer, day date) PARTITION BY RANGE (day);
CREATE TABLE zoo.partitioned_2026 PARTITION OF zoo.partitioned FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW zoo.seen AS SELECT id FROM zoo.plain;
CREATE MATERIALIZED VIEW zoo.counted AS SELECT count(*) AS rows FROM zoo.plain;
CREATE SEQUENCE zoo.ticket;
-- 63 bytes, the longest name there is; letters of two bytes count twice.
CREATE TABLE zoo."nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnäx" (id integer);
CREATE TABLE zoo."it's ""quoted"" ; -- $1" (id integer);
CREATE TABLE zoo."🦥 sloth" (id integer);
CREATE TABLE zoo."UPPER case" (id integer);

-- Two grantors on one table: the owner grants what Sluice may grant too, and cannot take away.
CREATE TABLE zoo.two_grantors (id integer);
GRANT SELECT ON zoo.two_grantors TO "Data Readers";

-- The owner took the grant option back.
CREATE TABLE zoo.option_revoked (id integer);
REVOKE GRANT OPTION FOR ALL ON zoo.option_revoked FROM databricks_superuser;

-- Everybody may read it.
CREATE TABLE zoo.open_to_all (id integer);
GRANT SELECT ON zoo.open_to_all TO PUBLIC;
RESET ROLE;

-- Made while the event triggers did not fire: nobody but the owner may grant.
SET session_replication_role = replica;
SET ROLE "owner-two@example.com";
CREATE TABLE zoo.before_triggers (id integer);
RESET ROLE;
RESET session_replication_role;

-- A synced table: partitioned, owned by the writer role of the database, its partition in __db_system.
DO $$
DECLARE
  writer text := 'databricks_writer_' || (SELECT oid FROM pg_database WHERE datname = current_database());
BEGIN
  CREATE TABLE zoo.synced (id bigint) PARTITION BY HASH (id);
  CREATE TABLE __db_system.partition_synced_0 PARTITION OF zoo.synced FOR VALUES WITH (MODULUS 1, REMAINDER 0);
  EXECUTE format('ALTER TABLE __db_system.partition_synced_0 OWNER TO %I', writer);
  EXECUTE format('GRANT USAGE ON SCHEMA __db_system TO %I', writer);
  EXECUTE format('ALTER TABLE zoo.synced OWNER TO %I', writer);
END
$$;

-- A foreign table, where the server has the wrapper; its kind is not in the triggers' list.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw') THEN
    CREATE EXTENSION IF NOT EXISTS postgres_fdw;
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', dbname 'nowhere');
    CREATE FOREIGN TABLE zoo.far_away (id integer) SERVER elsewhere;
    ALTER FOREIGN TABLE zoo.far_away OWNER TO "owner one@example.com";
  END IF;
END
$$;
