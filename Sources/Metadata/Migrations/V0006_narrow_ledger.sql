-- The ledger at speed: what a job costs is what is written for it on its way, so less is.

-- Jobs that Redis has not been told of: an entry for each submission, class and kind, so that telling of a thousand
-- jobs reads one row and deletes one. An entry whose number is lower than another's may commit later.
create table outbox (
  class smallint not null check (class between 0 and 2),
  id bigint generated always as identity,
  kind text not null,
  size int not null,
  -- The bounds of the numbers in it: what looks for one job reads no other entry's numbers.
  first_job bigint not null,
  last_job bigint not null,
  jobs bigint[] not null,
  lanes bigint[] not null,
  primary key (class, id),
  check (size > 0 and size = cardinality(jobs) and size = cardinality(lanes))
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- Where telling Redis of all unfinished jobs again has come to, a row a class; none when it has come to the end. Redis
-- was told of those up to this lane and job in this epoch. A new epoch begins it, without a write to any job.
create table refill (
  class smallint primary key check (class between 0 and 2),
  epoch bigint not null,
  lane_id bigint not null default 0,
  job_id bigint not null default 0
);
insert into refill (class, epoch)
select k, epoch from queue_epoch, generate_series(0, 2) as k where exists (select from job where finished_at is null);

-- Since when Redis has held as many jobs as it may; null while there is room. Producers slow down while it is set.
alter table queue_epoch add column full_since timestamptz;

alter table job
  drop column enqueued_epoch,
  -- The first counted failure in a row, moved on by whatever time the job spent waiting for anything but its backoff.
  add column failing_since timestamptz;

-- Compared byte by byte, as producers sort them; no locale has a say, and it is faster.
drop index job_open;
alter table job alter column open_key type text collate "C";
update job set open_key = concat_ws(' ', kind, class, scope ->> 'subject', coalesce(scope ->> 'securable', '-'),
  coalesce(scope ->> 'identity', '-'), coalesce(scope ->> 'audience', '-'), scope ->> 'role')
where open_key is not null;
create unique index job_open on job (lane_id, open_key) where open_key is not null;

-- By class, because revokes are told first; by lane, because the oldest job of each is asked for.
drop index job_unfinished;
create index job_unfinished on job (class, lane_id, id) where finished_at is null;
create index job_dead_lane on job (lane_id, id) where state = 'discarded';

-- Three versions of each row within seconds: dead ones must not wait for a fifth of a table that keeps a week.
alter table job set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 20000,
  autovacuum_analyze_scale_factor = 0.05);
