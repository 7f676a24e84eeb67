-- Puts the dead letter $1 aside; $2 says who did and why.
with remembered as (
  -- The attempt that ended the job was told by its own row.
  insert into job_attempt
    (job_id, fence_epoch, fence_sequence, attempt, worker, outcome, started_at, finished_at, error, result)
  select id, fence_epoch, fence_sequence, attempt, worker, state, started_at, finished_at, error, result
  from job
  where id = $1 and state = 'discarded' and fence_epoch is not null and worker is not null and started_at is not null
  on conflict do nothing
)
update job set state = 'cancelled', finished_at = now(), remedy = null,
  error = $2 || coalesce('; it had failed: ' || error, '')
where id = $1 and state = 'discarded'
returning id
