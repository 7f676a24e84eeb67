-- Jobs that Redis has not been told of in epoch $1: how many, counted up to $2, and how long the oldest of those has
-- been due.
select count(*) as jobs, coalesce(max(greatest(extract(epoch from now() - due), 0)), 0)::bigint as oldest_s
from (
  select greatest(created_at, scheduled_at) as due from job
  where enqueued_epoch < $1 and finished_at is null limit $2
) as counted
