-- Runs finished jobs again as if new, or merges each into the job of the same key that has not started.
-- Of several with one key the oldest runs. What is merged is cancelled and names the job that runs for it.
-- $1 job numbers, $2 open keys, $3 the channel on which schedulers hear of it, $4 most jobs of an outbox entry
with wanted as materialized (
  select j.id, j.lane_id, r.open_key, min(j.id) over same_key as oldest, count(*) over same_key as count
  from unnest($1::bigint[], $2::text[]) as r (id, open_key) join job j on j.id = r.id
  where j.state in ('discarded', 'cancelled')
  window same_key as (partition by j.lane_id, r.open_key)
), remembered as (
  -- The attempt that ended a job was told by its own row.
  insert into job_attempt
    (job_id, fence_epoch, fence_sequence, attempt, worker, outcome, started_at, finished_at, error, result)
  select j.id, j.fence_epoch, j.fence_sequence, j.attempt, j.worker, j.state, j.started_at, j.finished_at, j.error,
    j.result
  from wanted w join job j on j.id = w.id
  where j.fence_epoch is not null and j.worker is not null and j.started_at is not null
  on conflict do nothing
), joined as (
  -- A job that is claimed meanwhile has no key any more: it is not joined, because it may have read the old state.
  update job o set coalesced = o.coalesced + w.count
  from wanted w
  where w.id = w.oldest and o.lane_id = w.lane_id and o.open_key = w.open_key
  returning w.oldest, o.id as runs_as
), revived as (
  update job j set state = 'available', open_key = w.open_key, coalesced = j.coalesced + w.count - 1,
    attempt = 0, stalls = 0, failing_since = null,
    scheduled_at = now(), started_at = null, finished_at = null, worker = null, error = null, remedy = null
  from wanted w
  where j.id = w.id and w.id = w.oldest and w.oldest not in (select oldest from joined)
  returning j.id, j.id as runs_as, j.lane_id, j.class, j.kind
), announced as (
  insert into outbox (class, parked_by, kind, size, first_job, last_job, jobs, lanes)
  select class, parked_by, kind, count(*), min(id), max(id), array_agg(id), array_agg(lane_id)
  from (
    select v.id, v.lane_id, v.class, v.kind, l.parked_by,
      (row_number() over (partition by v.class, v.kind, l.parked_by order by v.id) - 1) / $4 as part
    from revived v join lane l on l.id = v.lane_id
  ) new
  group by class, parked_by, kind, part
), merged as (
  update job j set state = 'cancelled', remedy = null, error = 'runs again as job ' || coalesce(o.runs_as, w.oldest)
  from wanted w left join joined o on o.oldest = w.oldest
  where j.id = w.id and (w.id <> w.oldest or o.oldest is not null)
  returning j.id, coalesce(o.runs_as, w.oldest) as runs_as
)
select id, runs_as,
  (select pg_notify($3, string_agg(distinct v.class::text, '')) from revived v) as announcement
from (select id, runs_as from revived union all select id, runs_as from merged) retried
order by id
