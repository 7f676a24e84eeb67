-- Unfinished jobs that Redis was told of: of each class the first $1 from lane $2 on, and from the first lane on.
with sample as (
  select j.* from (values (0::smallint), (1), (2)) as k (class)
    cross join (values (0::bigint), ($2)) as s (lane)
    cross join lateral (
      select id, class, lane_id from job
      where class = k.class and finished_at is null and (lane_id, id) > (s.lane, 0)
      order by lane_id, id limit $1) j
), told as (
  select distinct s.id from sample s join lane l on l.id = s.lane_id
  where not exists (select from refill r
      where r.class = s.class and r.parked_by = l.parked_by and (r.lane_id, r.job_id) < (s.lane_id, s.id))
    and not exists (select from outbox o
      where o.class = s.class and o.parked_by = l.parked_by and s.id between o.first_job and o.last_job
        and s.id = any (o.jobs))
)
select j.id, j.lane_id, j.kind, j.class, l.parked_by,
  case j.state when 'running' then j.fence_epoch end as fence_epoch,
  case j.state when 'running' then j.fence_sequence end as fence_sequence
from told t join job j on j.id = t.id join lane l on l.id = j.lane_id
order by j.id
