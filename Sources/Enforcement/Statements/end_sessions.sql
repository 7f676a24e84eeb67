-- Target: ends the sessions of role $1 in this database.
select count(*) filter (where pg_terminate_backend(a.pid)) as ended
from pg_stat_activity a join pg_roles r on r.oid = a.usesysid
where r.rolname = $1 and a.datname = current_database() and a.pid <> pg_backend_pid()
