-- Each lane with unfinished jobs and the age of the oldest: one look into the index of unfinished jobs a lane.
select l.id, l.kind, c.name as connection, d.name as database,
  (extract(epoch from greatest(now() - oldest.created_at, interval '0')) * 1000)::bigint as age_ms
from lane l
  join connection c on c.id = l.connection_id
  left join securable d on d.id = l.database_id
  cross join lateral (
    select j.created_at from job j where j.lane_id = l.id and j.finished_at is null order by j.id limit 1
  ) oldest
order by c.name, l.id
