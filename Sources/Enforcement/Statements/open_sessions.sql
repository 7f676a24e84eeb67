-- Target: how many sessions the roles $1 have open in this database, apart from our own, and whether we may end them.
select r.rolname as role, count(*) as sessions,
  case when r.rolsuper then me.rolsuper
    else pg_has_role(r.oid, 'USAGE') or pg_has_role('pg_signal_backend', 'USAGE') end as may_end
from pg_stat_activity a join pg_roles r on r.oid = a.usesysid join pg_roles me on me.rolname = current_user
where r.rolname = any ($1) and a.datname = current_database() and r.oid <> me.oid
group by r.oid, r.rolname, r.rolsuper, me.rolsuper
