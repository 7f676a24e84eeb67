-- Takes the oldest entries of a class out of the outbox: entries until there are $2 jobs in them, at least one.
-- Nothing while another transaction does so; no job is locked: a worker may have leased the first of them before the
-- last is enqueued, and must be able to claim it. Nothing either while Redis is refilled with jobs of this class.
-- The commit does not wait for the disk: a server that forgets it tells Redis once more.
-- $1 class, $2 jobs, $3 key of the advisory lock
with entry as (
  select id from (
    select id, sum(size) over (order by id) - size as before
    from (select id, size from outbox where class = $1 order by id limit $2) oldest
  ) counted
  where before < $2 and not exists (select from refill where class = $1)
    and (select pg_try_advisory_xact_lock($3)) and (select set_config('synchronous_commit', 'off', true)) is not null
), taken as (
  delete from outbox o using entry e where o.class = $1 and o.id = e.id returning o.kind, o.jobs, o.lanes
)
select j.id, j.lane_id, t.kind, case l.kind when 'governance' then 0 else l.connection_id end as parked_by, 0 as delay_ms
from taken t, unnest(t.jobs, t.lanes) as j (id, lane_id) join lane l on l.id = j.lane_id
order by j.id
