-- Discards those of the jobs that have just failed whose attempts are used up or that have failed for too long.
-- $1 job numbers, $2 epoch, $3 sequence, $4 how long a job may fail, in ms
update job j set state = 'discarded', finished_at = now(),
  error = coalesce(j.error || '; ', '') || 'given up after ' || j.attempt || ' attempts, failing since '
    || to_char(j.failing_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  remedy = coalesce(j.remedy || '; then: ', 'see why it fails, then: ') || 'sluice job retry ' || j.id
where j.id = any ($1) and j.state = 'retryable' and j.fence_epoch = $2 and j.fence_sequence = $3
  and (j.attempt >= j.max_attempts or now() - j.failing_since >= $4 * interval '1 millisecond')
returning j.id, j.state
