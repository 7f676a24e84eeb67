-- Target: what role $1 may really do with relation $2, the schema's and the database's privileges included.
select has_database_privilege(r.oid, current_database(), 'CONNECT') and has_schema_privilege(r.oid, c.relnamespace, 'USAGE')
    and has_table_privilege(r.oid, c.oid, 'SELECT') as can_read,
  has_database_privilege(r.oid, current_database(), 'CONNECT') and has_schema_privilege(r.oid, c.relnamespace, 'USAGE')
    and c.relkind in ('r', 'p', 'v', 'f')
    and has_table_privilege(r.oid, c.oid, 'INSERT') and has_table_privilege(r.oid, c.oid, 'UPDATE')
    and has_table_privilege(r.oid, c.oid, 'DELETE') as can_write
from pg_roles r, pg_class c
where r.rolname = $1 and c.oid = $2::bigint::oid
