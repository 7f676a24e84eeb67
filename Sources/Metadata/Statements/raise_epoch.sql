-- Begins a new epoch unless another scheduler has: above the one that is known ($1) and above what Redis still claims
-- ($2), of the server run $3; and with it the refill of Redis with everything unfinished.
with raised as (
  update queue_epoch set epoch = greatest(epoch, coalesce($2, 0)) + 1, redis_run_id = $3, full_since = null,
    timeline = left(pg_walfile_name(pg_current_wal_lsn()), 8)
  where epoch = $1
  returning epoch
), begun as (
  insert into refill (class, epoch) select k, epoch from raised, generate_series(0, 2) as k
  on conflict (class) do update set epoch = excluded.epoch, lane_id = 0, job_id = 0
)
select epoch from raised
