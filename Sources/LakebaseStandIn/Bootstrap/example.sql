-- Something to govern, for `sluice dev --demo`: three tables of three owners. May be run again.
DO $$
DECLARE
  owner_name text;
BEGIN
  FOREACH owner_name IN ARRAY ARRAY['maya@example.com', 'ravi@example.com', 'carla@example.com'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner_name) THEN
      PERFORM databricks_create_role(owner_name, 'USER');
    END IF;
  END LOOP;
  IF to_regnamespace('demo') IS NULL THEN
    CREATE SCHEMA demo;
    GRANT USAGE, CREATE ON SCHEMA demo TO "maya@example.com", "ravi@example.com", "carla@example.com";
  END IF;
END
$$;

SET ROLE "maya@example.com";
CREATE TABLE IF NOT EXISTS demo."marketing-data" (
  campaign text PRIMARY KEY, channel text NOT NULL, budget numeric(12, 2) NOT NULL, started date NOT NULL);
INSERT INTO demo."marketing-data" VALUES
  ('spring launch', 'mail', 12000, '2026-03-01'), ('trade fair', 'event', 48000, '2026-05-12'),
  ('summer sale', 'social', 9500, '2026-06-20'), ('newsletter', 'mail', 1500, '2026-01-05')
ON CONFLICT DO NOTHING;

SET ROLE "ravi@example.com";
CREATE TABLE IF NOT EXISTS demo."research-data" (
  id bigserial PRIMARY KEY, experiment text NOT NULL UNIQUE, result double precision, finished timestamptz);
INSERT INTO demo."research-data" (experiment, result, finished)
SELECT * FROM (VALUES
  ('baseline', 0.71, timestamptz '2026-01-10 09:00Z'), ('wider window', 0.74, timestamptz '2026-01-17 09:00Z'),
  ('less noise', 0.69, timestamptz '2026-02-02 09:00Z')) AS rows
WHERE NOT EXISTS (SELECT FROM demo."research-data");

SET ROLE "carla@example.com";
CREATE TABLE IF NOT EXISTS demo."cs-data" (
  ticket integer PRIMARY KEY, customer text NOT NULL, topic text NOT NULL, is_open boolean NOT NULL);
INSERT INTO demo."cs-data" VALUES
  (1001, 'Northwind', 'invoice', true), (1002, 'Contoso', 'login', false), (1003, 'Fabrikam', 'delivery', true)
ON CONFLICT DO NOTHING;
RESET ROLE;
