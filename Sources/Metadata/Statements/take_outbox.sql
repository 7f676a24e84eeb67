-- Takes jobs of a class out of the outbox, by turns of their connections: of the next $5 connections after $3 the oldest
-- entries, until each has an equal share of $2 jobs, at least one entry. What it costs depends on those alone.
-- Nothing in another epoch, or while another transaction does so; no job is locked: a worker may have leased the first
-- of them before the last is enqueued, and must be able to claim it. The commit does not wait for the disk: a server that
-- forgets it tells Redis once more.
-- $1 class, $2 jobs, $3 connection after which the round goes on, or -1, $4 connections to pass over, $5 connections,
-- $6 epoch, $7 key of the advisory lock
with recursive allowed as materialized (
  select pg_try_advisory_xact_lock($7) and $6 = (select epoch from queue_epoch)
    and set_config('synchronous_commit', 'off', true) is not null as now
), step (parked_by, is_passed_over, count) as (
  -- One look into the index for each connection, however many entries it has.
  select $3::bigint, true, 0 from allowed where now
  union all
  select next.parked_by, next.is_passed_over, step.count + (not next.is_passed_over)::int
  from step cross join lateral (
    select o.parked_by, o.parked_by = any ($4::bigint[]) as is_passed_over
    from outbox o where o.class = $1 and o.parked_by > step.parked_by order by o.class, o.parked_by limit 1
  ) next
  where step.count < $5
), turn as materialized (
  select parked_by, greatest(1, $2::bigint / count(*) over ()) as share from step where not is_passed_over
), entry as materialized (
  select e.place, e.before + e.size >= t.share as is_last
  from turn t cross join lateral (
    select place, size, sum(size) over (order by id) - size as before
    from (select ctid as place, id, size from outbox where class = $1 and parked_by = t.parked_by order by id limit t.share) oldest
  ) e
  where e.before < t.share
), taken as (
  delete from outbox where ctid = any (array(select place from entry)) returning parked_by, kind, jobs, lanes
), round as (
  select case when count(*) = $5 then max(parked_by) end as next,
    (select now from allowed) and ($3 >= 0 or count(*) = $5 or exists (select from entry where is_last)) as has_more
  from turn
)
select r.next, r.has_more, j.id, j.lane_id, j.parked_by, j.kind, 0 as delay_ms
from round r left join (
  select j.id, j.lane_id, t.parked_by, t.kind from taken t cross join unnest(t.jobs, t.lanes) as j (id, lane_id)
) j on true
order by j.id
