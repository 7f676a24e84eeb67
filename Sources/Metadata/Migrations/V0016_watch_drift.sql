-- How differences that nobody asked for are found, and what becomes of them.
alter table connection
  add column drift_mode text not null default 'repair' check (drift_mode in ('repair', 'observe')),
  -- Zero: never.
  add column sweep_every interval not null default '5 minutes' check (sweep_every >= interval '0'),
  add column swept_at timestamptz;

-- Up to where a database has been compared: what no transaction from the horizon on has changed there is as it was then.
-- And of every lane what was told of it last.
create table sweep (
  lane_id bigint primary key references lane on delete cascade,
  -- The oldest transaction of the target's server that had not ended.
  horizon bigint not null,
  -- When that server was started: after a restart, which a restore and a failover are too, it says nothing.
  server_start text not null,
  -- A hash of the differences that the trail tells of already; empty for none.
  told text not null default ''
);
