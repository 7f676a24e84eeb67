-- Metadata database: what people's roles, and audiences, should be able to do with the relations $2 of database $1.
select case role_kind when 'user' then role end as role, audience_id, oid, access
from desired_access
where database_id = $1 and oid = any ($2)
