-- Target: those of the roles $1 that exist, with their comments, and whether the policy role $2 administers them.
select r.rolname as name, r.oid::bigint as oid, shobj_description(r.oid, 'pg_authid') as comment,
  exists (select from pg_auth_members m join pg_roles p on p.oid = m.member
    where m.roleid = r.oid and m.admin_option and p.rolname = $2) as is_administered
from pg_roles r where r.rolname = any ($1)
