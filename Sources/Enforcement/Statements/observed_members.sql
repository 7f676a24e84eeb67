-- Target, 16 and later: memberships in the roles $1, and those of the members $3 in the roles $2, one row for all members
-- whom one grantor gave the same; $4 is the policy role, if there is one. is_ours where that grantor is the role that
-- Sluice grants this audience by (a superuser grants as the bootstrap superuser), is_removable where we may act for it.
-- Left out is what PostgreSQL gives to whoever makes a role.
with held as (
  select m.roleid, m.grantor, m.inherit_option, m.set_option, m.admin_option, array_agg(u.rolname::text) as members
  from pg_roles r join pg_auth_members m on m.roleid = r.oid join pg_roles u on u.oid = m.member
  where r.rolname = any ($1)
  group by 1, 2, 3, 4, 5
  union all
  select m.roleid, m.grantor, m.inherit_option, m.set_option, m.admin_option, array_agg(u.rolname::text)
  from pg_roles r join pg_auth_members m on m.roleid = r.oid join pg_roles u on u.oid = m.member
  where r.rolname = any ($2) and u.rolname = any ($3)
  group by 1, 2, 3, 4, 5
)
select r.rolname as role, g.rolname as grantor, h.inherit_option as inherits, h.set_option as can_set,
  h.admin_option as is_admin, h.members,
  g.oid = case when a.oid is not null then p.oid when s.rolsuper then 10 else s.oid end as is_ours,
  coalesce(g.oid = p.oid, false) or pg_has_role(g.oid, 'USAGE') as is_removable
from held h join pg_roles r on r.oid = h.roleid join pg_roles g on g.oid = h.grantor
  join pg_roles s on s.rolname = current_user
  left join pg_roles p on p.rolname = $4
  left join pg_auth_members a on a.roleid = r.oid and a.member = p.oid and a.grantor = 10 and a.admin_option
where not (h.grantor = 10 and h.admin_option and not h.inherit_option and not h.set_option)
