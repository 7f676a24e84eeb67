-- Target, 15: memberships in the roles $1, of all ($2) or of the members $3, one row for all members that are alike. There
-- is one membership whoever granted it, which any of our REVOKEs takes away; whether a member has the privileges is an
-- attribute of its role. The grantor may have been dropped since.
select r.rolname as role, pg_get_userbyid(m.grantor) as grantor, u.rolinherit as inherits, false as can_set,
  m.admin_option as is_admin, array_agg(u.rolname::text) as members, true as is_ours, true as is_removable
from pg_auth_members m
  join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = m.member
where r.rolname = any ($1) and ($2 or u.rolname = any ($3))
group by 1, 2, 3, 5
