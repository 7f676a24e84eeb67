-- Subscribers of those of the data sources $1 that have at least $2, or an audience for them: a row for each access,
-- with its audience if there is one.
with counted as (
  select securable_id, access, count(*) as subscribers
  from subscription
  where securable_id = any ($1) and barred_by is null and (expires_at is null or expires_at > now())
  group by securable_id, access
), concerned as (
  select securable_id from counted group by securable_id having sum(subscribers) >= $2
  union
  select securable_id from audience where securable_id = any ($1)
)
select t.id as securable_id, t.connection_id, t.database_id, b.access, coalesce(c.subscribers, 0) as subscribers,
  a.id as audience_id, a.form
from concerned x
  join securable t on t.id = x.securable_id
  cross join (values ('read'), ('write')) as b (access)
  left join counted c on c.securable_id = t.id and c.access = b.access
  left join audience a on a.securable_id = t.id and a.access = b.access
order by 1, 4
