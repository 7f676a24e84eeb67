-- Target: the schemas of this database on which one of the roles $1 holds anything. From the schemas: a role may hold
-- thousands of tables beside them, which the index by role does not tell apart.
with entry as materialized (
  select objid, refobjid from pg_shdepend
  where dbid = (select oid from pg_database where datname = current_database()) and classid = 'pg_namespace'::regclass
    and refclassid = 'pg_authid'::regclass and deptype = 'a'
)
select distinct e.objid::bigint as oid
from entry e join pg_roles r on r.oid = e.refobjid
where r.rolname = any ($1)
