-- The age of the oldest unfinished job of each connection that has any: a look into the index a lane and class.
select l.connection_id,
  (extract(epoch from greatest(now() - min(oldest.created_at), interval '0')) * 1000)::bigint as age_ms
from lane l
  cross join (values (0::smallint), (1), (2)) as k (class)
  cross join lateral (
    select created_at from job
    where class = k.class and lane_id = l.id and finished_at is null
    order by id limit 1
  ) oldest
group by l.connection_id
