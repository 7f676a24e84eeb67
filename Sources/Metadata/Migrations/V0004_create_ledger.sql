-- The job ledger: every job, its state and its attempts. It has no hot rows: leases and heartbeats live in Redis.

-- A lane is a lock domain of a target: its role catalogue, or one of its databases. Lanes of kind governance have
-- no target: their work is in this database.
create table lane (
  id bigint generated always as identity primary key,
  connection_id bigint not null references connection on delete cascade,
  kind text not null check (kind in ('roles', 'database', 'governance')),
  database_id bigint references securable on delete cascade,
  check ((kind = 'database') = (database_id is not null))
);
create unique index lane_database on lane (database_id) where kind = 'database';
create unique index lane_other on lane (connection_id, kind) where kind <> 'database';

-- States, and who moves a job in and out:
--   available   a producer inserts it, a worker claims it; released and snoozed jobs return here
--   scheduled   as available, but not before scheduled_at
--   running     claimed under a fence; after a crash the next holder of the lane claims it again
--   retryable   an attempt failed; available again at scheduled_at
--   completed, discarded, cancelled   final; written by the worker under its fence, or by an operator
create table job (
  id bigint generated always as identity primary key,
  lane_id bigint not null references lane on delete cascade,
  parent_id bigint references job on delete set null,
  kind text not null check (kind in ('sync', 'subscribe', 'revoke', 'evaluate')),
  class smallint not null check (class between 0 and 2),
  state text not null default 'available' check (state in ('available', 'scheduled', 'running', 'retryable',
    'completed', 'discarded', 'cancelled')),
  scope jsonb not null,
  -- Kind and scope while the job has not started, null from then on: a request for the same work coalesces into a
  -- job that has not started, never into one that runs, and no key can stay behind.
  open_key text,
  coalesced int not null default 0 check (coalesced >= 0),
  attempt int not null default 0 check (attempt >= 0),
  max_attempts int not null default 12 check (max_attempts > 0),
  stalls int not null default 0 check (stalls >= 0),
  -- The epoch in which Redis was told of it. When Redis loses its memory the epoch rises, and everything unfinished is
  -- behind it again, without a write to any job.
  enqueued_epoch bigint not null default 0,
  created_at timestamptz not null default now(),
  scheduled_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  fence_epoch bigint,
  fence_sequence bigint,
  worker text,
  error text,
  remedy text,
  result jsonb,
  check ((finished_at is not null) = (state in ('completed', 'discarded', 'cancelled'))),
  check (state <> 'running' or (fence_epoch is not null and worker is not null and open_key is null))
);
create unique index job_open on job (lane_id, open_key) where open_key is not null;
create index job_outbox on job (enqueued_epoch, id) where finished_at is null;
create index job_unfinished on job (lane_id, id) where finished_at is null;
create index job_dead on job (id) where state = 'discarded';
create index job_parent on job (parent_id) where parent_id is not null;
create index job_finished on job (finished_at) where finished_at is not null;

create table job_attempt (
  job_id bigint not null references job on delete cascade,
  fence_epoch bigint not null,
  fence_sequence bigint not null,
  attempt int not null,
  worker text not null,
  outcome text not null check (outcome in ('completed', 'retryable', 'snoozed', 'discarded', 'cancelled')),
  started_at timestamptz not null,
  finished_at timestamptz not null default now(),
  error text,
  result jsonb,
  primary key (job_id, fence_epoch, fence_sequence)
);

-- The epoch of the queue's fences: raised whenever Redis is found without its memory.
create table queue_epoch (
  single boolean primary key default true check (single),
  epoch bigint not null check (epoch > 0),
  -- The run of the server that holds this epoch's queue. Another run may have lost the last second, or all of it.
  redis_run_id text
);
insert into queue_epoch (epoch) values (1);
