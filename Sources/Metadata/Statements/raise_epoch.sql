-- Begins a new epoch unless another scheduler has: above the one that is known ($1) and above what Redis still claims
-- ($2), of the server run $3; and with it the refill of Redis with everything unfinished. An empty Redis is full of
-- nothing.
with raised as (
  update queue_epoch set epoch = greatest(epoch, coalesce($2, 0)) + 1, redis_run_id = $3, full_since = null,
    timeline = left(pg_walfile_name(pg_current_wal_lsn()), 8)
  where epoch = $1
  returning epoch
), begun as (
  insert into refill (class, parked_by, epoch)
  select distinct k, l.parked_by, epoch
  from raised, generate_series(0, 2) as k, lane l
  where exists (select from job j where j.class = k and j.lane_id = l.id and j.finished_at is null)
  on conflict (class, parked_by) do update set epoch = excluded.epoch, lane_id = 0, job_id = 0
), emptied as (
  delete from full_connection where exists (select from raised)
)
select epoch from raised
