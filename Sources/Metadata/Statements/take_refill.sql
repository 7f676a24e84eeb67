-- The next unfinished jobs of a class that Redis has to be told of again, and moves the refill past them. It stays where
-- it is if another epoch has begun meanwhile: that one begins at the first job.
-- $1 class, $2 epoch, $3 lane and $4 job that it has come to, $5 jobs
with page as materialized (
  select id, lane_id, kind, scheduled_at from job
  where class = $1 and finished_at is null and (lane_id, id) > ($3, $4)
  order by lane_id, id
  limit $5
), moved as (
  update refill r set lane_id = last.lane_id, job_id = last.id
  from (select lane_id, id from page order by lane_id desc, id desc limit 1) last
  where r.class = $1 and r.epoch = $2
)
select p.id, p.lane_id, p.kind, case l.kind when 'governance' then 0 else l.connection_id end as parked_by,
  greatest(0, extract(epoch from p.scheduled_at - now()) * 1000)::bigint as delay_ms
from page p join lane l on l.id = p.lane_id
order by p.lane_id, p.id
