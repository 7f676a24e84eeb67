-- Target: which of the roles with the OIDs $1 are called otherwise than $2.
select k.name, r.rolname as is_called
from unnest($1::bigint[], $2::text[]) as k (oid, name) join pg_roles r on r.oid = k.oid::oid
where r.rolname <> k.name
order by 1
