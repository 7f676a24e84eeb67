-- Target: what the role that Sluice logs in as may do.
select r.rolcreaterole or r.rolsuper as can_create_roles, pg_is_in_recovery() as is_replica,
  exists (select from pg_roles s where s.rolname = 'databricks_superuser' and pg_has_role(r.oid, s.oid, 'USAGE'))
    as is_databricks_superuser
from pg_roles r where r.rolname = current_user
