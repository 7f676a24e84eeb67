-- Metadata database: the members that audiences of connection $1 should have: those numbered $2, those that the roles
-- $3 are or were in, or ($4) all. An audience without members comes with an empty list.
select a.role, coalesce(array_agg(m.member_role) filter (where m.member_role is not null), '{}') as members
from audience a left join desired_member m on m.audience_id = a.id
where a.connection_id = $1 and ($4 or a.id = any ($2) or cardinality($3) > 0)
group by a.role
