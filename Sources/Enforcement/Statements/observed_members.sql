-- Target, 16 and later: memberships in the roles $1, of all ($2) or of the members $3, one row for all members whom one
-- grantor gave the same; $4 is the policy role, if there is one. is_ours where that grantor is the role that Sluice grants
-- this audience by (a superuser grants as the bootstrap superuser), is_removable where we may act for it. Left out is what
-- PostgreSQL gives to whoever makes a role.
with me as materialized (
  select oid, rolsuper from pg_roles where rolname = current_user
), manager as materialized (
  select oid from pg_roles where rolname = $4
)
select r.rolname as role, pg_get_userbyid(m.grantor) as grantor, m.inherit_option as inherits, m.set_option as can_set,
  m.admin_option as is_admin, array_agg(u.rolname::text) as members,
  m.grantor = case
    when exists (
      select from pg_auth_members a
      where a.roleid = m.roleid and a.member = (select oid from manager) and a.grantor = 10 and a.admin_option)
    then (select oid from manager)
    when (select rolsuper from me) then 10 else (select oid from me) end as is_ours,
  coalesce(m.grantor = (select oid from manager), false) or pg_has_role(m.grantor, 'USAGE') as is_removable
from pg_roles r join pg_auth_members m on m.roleid = r.oid join pg_roles u on u.oid = m.member
where r.rolname = any ($1) and ($2 or u.rolname = any ($3))
  and not (m.grantor = 10 and m.admin_option and not m.inherit_option and not m.set_option)
group by m.roleid, r.rolname, m.grantor, m.inherit_option, m.set_option, m.admin_option
