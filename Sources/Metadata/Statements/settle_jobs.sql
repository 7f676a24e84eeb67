-- Writes the results of a batch under its fence; a stale fence changes nothing. The attempt that ends a job is told by
-- its own row; one that does not leaves a row of its own.
-- What failed before and has been done now, of the same lane, kind and scope, is no dead letter any more.
-- Whoever waits for outcomes holds lock $10: only then is something announced, for the commits of announcements queue.
-- $1 job numbers, $2 outcomes, $3 delays in ms, $4 errors, $5 remedies, $6 results, $7 epoch, $8 sequence,
-- $9 the channel of outcomes, $10 the key of their listeners' lock
-- The arrays in subselects hide their length, or the planner may think reading the whole table cheaper.
with outcome as (
  select *
  from unnest((select $1::bigint[]), (select $2::text[]), (select $3::bigint[]), (select $4::text[]),
    (select $5::text[]), (select $6::text[])) as o (id, outcome, delay_ms, error, remedy, result)
), settled as (
  update job j set
    state = case o.outcome when 'snoozed' then 'scheduled' else o.outcome end,
    attempt = j.attempt + (o.outcome <> 'snoozed')::int,
    stalls = case when o.outcome in ('snoozed', 'retryable') then 0 else j.stalls end,
    scheduled_at = case when o.outcome in ('snoozed', 'retryable')
      then now() + o.delay_ms * interval '1 millisecond' else j.scheduled_at end,
    failing_since = case o.outcome when 'retryable' then coalesce(j.failing_since, now())
      when 'snoozed' then j.failing_since + o.delay_ms * interval '1 millisecond' else j.failing_since end,
    finished_at = case when o.outcome in ('snoozed', 'retryable') then null else now() end,
    error = o.error, remedy = o.remedy, result = coalesce(o.result::jsonb, j.result)
  from outcome o
  where j.id = o.id and j.state = 'running' and j.fence_epoch = $7 and j.fence_sequence = $8
  returning j.id, j.lane_id, j.kind, j.scope, j.state, j.attempt, j.worker, j.started_at, o.outcome, o.error,
    o.result
), attempted as (
  insert into job_attempt (job_id, fence_epoch, fence_sequence, attempt, worker, outcome, started_at, error, result)
  select id, $7, $8, attempt, worker, outcome, started_at, error, result::jsonb
  from settled where state in ('scheduled', 'retryable')
  on conflict do nothing
), dead as (
  select d.id, max(s.id) as done_by
  from settled s join job d on d.lane_id = s.lane_id and d.kind = s.kind and d.scope = s.scope
  where s.state = 'completed' and d.state = 'discarded'
  group by d.id
), remembered as (
  -- The attempt that ended a dead letter was told by its own row.
  insert into job_attempt
    (job_id, fence_epoch, fence_sequence, attempt, worker, outcome, started_at, finished_at, error, result)
  select j.id, j.fence_epoch, j.fence_sequence, j.attempt, j.worker, j.state, j.started_at, j.finished_at, j.error,
    j.result
  from dead d join job j on j.id = d.id
  where j.fence_epoch is not null and j.worker is not null and j.started_at is not null
  on conflict do nothing
), closed as (
  update job j set state = 'cancelled', finished_at = now(), remedy = null,
    error = 'done since by job ' || d.done_by || coalesce('; it had failed: ' || j.error, '')
  from dead d
  where j.id = d.id and j.state = 'discarded'
)
select id, state, (select pg_notify($9, '') where not pg_try_advisory_xact_lock($10)) as announcement from settled
