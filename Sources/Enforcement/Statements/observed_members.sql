-- Target, 16 and later: members of the roles $1 that inherit from them. The creator's own ADMIN row neither inherits
-- nor sets, and is no member in this sense.
select r.rolname as role, u.rolname as member
from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = m.member
where r.rolname = any ($1) and m.inherit_option
