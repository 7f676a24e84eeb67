-- Target: databases that people use and that can be connected to; those that are known, by their OIDs $1, as long as
-- they exist: one that shuts us out keeps its tree and what was granted in it. `postgres` is the compute's own on
-- Lakebase, told by the platform's superuser; elsewhere it is a database like any other. What else the platform's own
-- roles own is theirs, but for the database that we were told to work in.
select d.oid::bigint as oid, d.datname as name, pg_get_userbyid(d.datdba) as owner
from pg_database d
where not d.datistemplate
  and (d.oid = any ($1::bigint[]::oid[]) or d.datallowconn and has_database_privilege(d.oid, 'CONNECT'))
  and not (d.datname = 'postgres' and exists (select from pg_roles where rolname = 'cloud_admin'))
  and (d.datname = current_database()
    or pg_get_userbyid(d.datdba) not in ('cloud_admin', 'databricks_control_plane'))
order by d.oid
