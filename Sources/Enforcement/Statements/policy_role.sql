-- Target, 16 and later: what the login is, and what the policy role $1 is to it, if there is one.
select s.rolsuper as is_superuser, p.oid is not null as exists, shobj_description(p.oid, 'pg_authid') as comment,
  coalesce(pg_has_role(p.oid, 'SET'), false) as may_be_set
from pg_roles s left join pg_roles p on p.rolname = $1
where s.rolname = current_user
