-- Claims the jobs of a lease under its fence: those that are due run now, and those whose worker vanished too often are
-- discarded. The others are not in the answer; list_fates.sql says why.
-- $1 job numbers, $2 epoch, $3 sequence, $4 worker, $5 stalls allowed, $6 whether the commit waits for the disk
--
-- The array in a subselect hides its length, and "finished_at is null" is not asked: with either, the planner thinks
-- reading all unfinished jobs cheaper than looking up each of these.
with picked as materialized (
  select j.ctid as place, j.id, j.state, j.stalls + stalled.now::int as stalls, stalled.now as stalled, j.attempt,
    j.fence_epoch, j.fence_sequence, j.worker, j.started_at
  from unnest((select $1::bigint[])) as r (id)
    join job j on j.id = r.id
    -- A later lease of the same epoch: its worker vanished. Under the same fence it is this worker itself, whose answer
    -- to the claim was lost; in an earlier epoch Redis forgot the lease, and no worker is to blame.
    cross join lateral (
      select j.state = 'running' and j.fence_epoch = $2 and j.fence_sequence < $3 as now) stalled
  where (j.state in ('available', 'scheduled', 'retryable') and j.scheduled_at <= now() + interval '50 milliseconds'
      or j.state = 'running')
    -- Fences only rise, but for the worker that did not see the answer to its claim, or has released the job. A lower one,
    -- or the same in another hand, comes from a Redis that has forgotten its last leases, and a lease of an older epoch
    -- from one with an old memory.
    and (j.fence_epoch is null or (j.fence_epoch, j.fence_sequence) < ($2, $3)
      or (j.fence_epoch, j.fence_sequence) = ($2, $3) and (j.worker is null or j.state = 'running' and j.worker = $4))
    and $2 >= (select epoch from queue_epoch)
    and ($6 or (select set_config('synchronous_commit', 'off', true)) is not null)
  for no key update of j skip locked
), chosen as materialized (
  -- Stalled more than once: each runs alone from now on, so that its neighbours are not discarded with it.
  select * from picked
  where id = coalesce((select min(id) from picked where stalled and stalls > 1), id)
), remembered as (
  insert into job_attempt (job_id, fence_epoch, fence_sequence, attempt, worker, outcome, started_at, error)
  select id, fence_epoch, fence_sequence, attempt + 1, worker, 'stalled', started_at, 'the worker vanished'
  from chosen where stalled
  on conflict do nothing
)
update job j set
  state = case when p.stalls < $5 then 'running' else 'discarded' end,
  stalls = p.stalls,
  open_key = null,
  -- What it waited beyond its time was not its own failing.
  failing_since = j.failing_since
    + case p.state when 'running' then interval '0' else greatest(now() - j.scheduled_at, interval '0') end,
  fence_epoch = case when p.stalls < $5 then $2 else j.fence_epoch end,
  fence_sequence = case when p.stalls < $5 then $3 else j.fence_sequence end,
  worker = case when p.stalls < $5 then $4 else j.worker end,
  started_at = case when p.stalls < $5 then now() else j.started_at end,
  finished_at = case when p.stalls < $5 then null else now() end,
  error = case when p.stalls < $5 then j.error else 'the worker vanished ' || p.stalls || ' times while this job ran' end,
  remedy = case when p.stalls < $5 then j.remedy
    else 'find out why workers die on it (memory, a crash), then: sluice job retry ' || j.id end
from chosen p
where j.ctid = p.place
returning j.id, j.state, j.kind, j.class, j.scope::text as scope, j.attempt, j.max_attempts
