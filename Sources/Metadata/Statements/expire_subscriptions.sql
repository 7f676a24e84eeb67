-- Ends up to $1 subscriptions that have expired, and says what has to be revoked.
with expired as (
  select id from subscription where expires_at <= now() order by expires_at limit $1 for update skip locked
), ended as (
  delete from subscription s using expired e where s.id = e.id returning s.identity_id, s.securable_id
)
select e.identity_id, e.securable_id, l.id as lane_id, c.name as connection, d.name as database, s.name as schema,
  t.name, i.name as identity
from ended e
  join securable t on t.id = e.securable_id
  join securable s on s.id = t.parent_id
  join securable d on d.id = t.database_id
  join lane l on l.database_id = t.database_id
  join connection c on c.id = t.connection_id
  join identity i on i.id = e.identity_id
