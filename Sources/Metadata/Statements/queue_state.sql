-- The queue's epoch and server run, whether it is full, the version of its rules, and the classes with jobs that Redis
-- has not been told of, in their order. On another timeline than the epoch's no server run is right: this database was
-- promoted or restored since, and may have forgotten results that Redis has settled.
select q.epoch,
  case when q.timeline = left(pg_walfile_name(pg_current_wal_lsn()), 8) then q.redis_run_id end as redis_run_id,
  q.full_since is not null as is_full,
  (select version from queue_rules) as rules_version,
  array(
    select k.class::bigint from generate_series(0, 2) as k (class)
    where exists (select from outbox o where o.class = k.class)
      or exists (select from refill r where r.class = k.class)
    order by k.class) as classes
from queue_epoch q
