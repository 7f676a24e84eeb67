-- Target: databases that people use, and whether this role can connect to each. `postgres` is the compute's own on
-- Lakebase, told by the platform's superuser.
select d.datname as name, d.datallowconn and has_database_privilege(d.oid, 'CONNECT') as is_open
from pg_database d
where not d.datistemplate
  and not (d.datname = 'postgres' and exists (select from pg_roles where rolname = 'cloud_admin'))
order by d.datname <> current_database(), d.datname
