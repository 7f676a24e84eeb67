-- Target: the roles $1 by what they could reach relations through, apart from the audiences $2: those of a group reach the
-- same ones, because they are members of the same roles in the same way and nothing here is their own. Who holds or owns a
-- relation or a function, or owns the database, stands alone; with $3 what is their own is left out of it, and so are
-- roles that do not exist. USAGE and CONNECT do not count.
select array_agg(a.role order by a.role) as roles
from unnest($1::text[]) as a (role) left join pg_roles r on r.rolname = a.role
  cross join (select oid, datdba from pg_database where datname = current_database()) b
  cross join lateral (
    select array_agg(m.roleid || ' ' || (to_jsonb(m) - '{oid,member,grantor}'::text[])::text order by m.roleid, m.grantor)
      as memberships
    from pg_auth_members m
    where m.member = r.oid and m.roleid not in (select oid from pg_roles where rolname = any ($2::text[]))
  ) m
  cross join lateral (
    select r.oid = b.datdba or not $3::boolean and exists (
      select from pg_shdepend d
      where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid
        and d.classid in ('pg_class'::regclass, 'pg_proc'::regclass) and d.dbid = b.oid) as has_own
  ) o
where r.oid is not null or not $3
group by r.rolsuper, r.rolcreaterole, r.rolinherit, m.memberships, case when o.has_own then a.role end
order by 1
