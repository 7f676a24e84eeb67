-- Target, 15: members of the roles $1.
select r.rolname as role, u.rolname as member
from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = m.member
where r.rolname = any ($1)
