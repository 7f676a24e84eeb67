-- Metadata database: the members that audiences of connection $1 should have: those numbered $2, or ($4) all, with
-- is_whole; and of all others whether the roles $3 are members. An audience without members comes with an empty list;
-- is_way_in where it carries no more than USAGE of a schema or CONNECT to a database.
select a.role, ($4 or a.id = any ($2)) as is_whole,
  exists (select from securable s where s.id = a.securable_id and s.kind in ('schema', 'database')) as is_way_in,
  coalesce(array_agg(m.member_role) filter (where m.member_role is not null), '{}') as members
from audience a
  left join desired_member m on m.audience_id = a.id and ($4 or a.id = any ($2) or m.member_role = any ($3))
where a.connection_id = $1 and ($4 or a.id = any ($2) or cardinality($3) > 0)
group by a.id
