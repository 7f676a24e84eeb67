-- The next unfinished jobs of a class that Redis has to be told of again, by turns of their connections, as in
-- take_outbox.sql; each goes on after the lane and job that it has come to, and ends when it has none left. Nothing if
-- another epoch has begun meanwhile: its refill begins at the first job.
-- $1 class, $2 jobs, $3 connection after which the round goes on, or -1, $4 connections to pass over, $5 connections,
-- $6 epoch, $7 key of the advisory lock
with allowed as materialized (
  select pg_try_advisory_xact_lock($7) and $6 = (select epoch from queue_epoch) as now
), turn as materialized (
  select r.parked_by, r.lane_id, r.job_id, greatest(1, $2::bigint / count(*) over ()) as share
  from (
    select parked_by, lane_id, job_id from refill
    where class = $1 and epoch = $6 and parked_by > $3 and parked_by <> all ($4::bigint[])
      and (select now from allowed)
    order by parked_by limit $5
  ) r
), page as materialized (
  select t.parked_by, j.*, count(*) over (partition by t.parked_by) = t.share as is_whole
  from turn t cross join lateral (
    select j.lane_id, j.id, j.kind, j.scheduled_at
    from (select id from lane where parked_by = t.parked_by and id >= t.lane_id order by id) l
      -- By lane, with its own limit: whatever the planner thinks, it reads no job behind this page.
      cross join lateral (
        select lane_id, id, kind, scheduled_at from job
        where class = $1 and lane_id = l.id and finished_at is null and (l.id > t.lane_id or id > t.job_id)
        order by id limit t.share
      ) j
    order by l.id, j.id limit t.share
  ) j
), last as materialized (
  select distinct on (parked_by) parked_by, lane_id, id from page where is_whole
  order by parked_by, lane_id desc, id desc
), moved as (
  update refill r set lane_id = last.lane_id, job_id = last.id from last
  where r.class = $1 and r.epoch = $6 and r.parked_by = last.parked_by
), ended as (
  delete from refill r using turn t
  where r.class = $1 and r.epoch = $6 and r.parked_by = t.parked_by
    and not exists (select from last where last.parked_by = t.parked_by)
), round as (
  select case when count(*) = $5 then max(parked_by) end as next,
    (select now from allowed) and ($3 >= 0 or count(*) = $5 or exists (select from last)) as has_more
  from turn
)
select r.next, r.has_more, p.id, p.lane_id, p.parked_by, p.kind,
  greatest(0, extract(epoch from p.scheduled_at - now()) * 1000)::bigint as delay_ms
from round r left join page p on true
order by p.lane_id, p.id
