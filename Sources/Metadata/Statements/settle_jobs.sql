-- Writes the results of a batch under its fence, with one attempt row each; a stale fence changes nothing.
-- $1 job numbers, $2 outcomes, $3 delays in ms, $4 errors, $5 remedies, $6 results, $7 epoch, $8 sequence
with outcome as (
  select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[])
    as o (id, outcome, delay_ms, error, remedy, result)
), settled as (
  update job j set
    state = case o.outcome when 'snoozed' then 'scheduled' else o.outcome end,
    attempt = j.attempt + (o.outcome <> 'snoozed')::int,
    stalls = case when o.outcome in ('snoozed', 'retryable') then 0 else j.stalls end,
    scheduled_at = case when o.outcome in ('snoozed', 'retryable')
      then now() + o.delay_ms * interval '1 millisecond' else j.scheduled_at end,
    finished_at = case when o.outcome in ('snoozed', 'retryable') then null else now() end,
    error = o.error, remedy = o.remedy, result = coalesce(o.result::jsonb, j.result)
  from outcome o
  where j.id = o.id and j.state = 'running' and j.fence_epoch = $7 and j.fence_sequence = $8
  returning j.id, j.attempt, j.worker, j.started_at, o.outcome, o.error, o.result
), attempted as (
  insert into job_attempt (job_id, fence_epoch, fence_sequence, attempt, worker, outcome, started_at, error, result)
  select id, $7, $8, attempt, worker, outcome, started_at, error, result::jsonb from settled
  on conflict do nothing
)
select id from settled
