-- The queue's epoch and server run, whether it is full and of which connections' jobs, the version of its rules, and the
-- classes with jobs that Redis has not been told of, or has forgotten. On another timeline than the epoch's no server run
-- is right: this database was promoted or restored since, and may have forgotten results that Redis has settled.
select q.epoch,
  case when q.timeline = left(pg_walfile_name(pg_current_wal_lsn()), 8) then q.redis_run_id end as redis_run_id,
  q.full_since is not null as is_full,
  array(select connection_id from full_connection) as full_connections,
  (select version from queue_rules) as rules_version,
  array(
    select k.class::bigint from generate_series(0, 2) as k (class)
    where exists (select from outbox o where o.class = k.class) order by k.class) as outbox_classes,
  array(
    select k.class::bigint from generate_series(0, 2) as k (class)
    where exists (select from refill r where r.class = k.class) order by k.class) as refill_classes
from queue_epoch q
