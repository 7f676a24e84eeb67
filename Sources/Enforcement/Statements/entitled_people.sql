-- Metadata database: what people should be able to do with the relations $2 of database $1, through their own roles or
-- through audiences.
select role, oid, access from desired_access where database_id = $1 and oid = any ($2) and role_kind = 'user'
union
select m.member_role, a.oid, a.access
from desired_access a join desired_member m on m.audience_id = a.audience_id
where a.database_id = $1 and a.oid = any ($2) and a.role_kind = 'audience'
