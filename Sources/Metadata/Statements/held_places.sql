-- The schemas and databases of connection $1 in which anybody may hold something directly, and those that have an
-- audience.
select distinct p.id
from (
    select securable_id from subscription
    union
    select x.securable_id from audience a join audience_securable x on x.audience_id = a.id
    where a.connection_id = $1 and a.form = 'direct'
  ) h
  join securable t on t.id = h.securable_id and t.connection_id = $1
  cross join lateral (values (t.parent_id), (t.database_id)) as p (id)
where p.id is not null
union
select s.id from audience a join securable s on s.id = a.securable_id and s.kind in ('schema', 'database')
where a.connection_id = $1
