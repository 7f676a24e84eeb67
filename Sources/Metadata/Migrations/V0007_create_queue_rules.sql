-- What operators have said about the queue: pauses, weights, and how many lanes of a connection are worked side by
-- side. Redis works by a copy, which a scheduler brings there again whenever Redis has another version or none.

create table queue_rules (
  single boolean primary key default true check (single),
  -- Rises with every change of these three tables; its row lock makes changes follow one another.
  version bigint not null default 1 check (version > 0),
  paused_at timestamptz,
  paused_by text,
  -- Lanes of a connection that are worked side by side, where the connection has no number of its own.
  most_lanes int not null default 16 check (most_lanes between 1 and 10000),
  check ((paused_at is null) = (paused_by is null))
);
insert into queue_rules default values;

create table connection_rule (
  connection_id bigint primary key references connection on delete cascade,
  weight int not null default 1 check (weight between 1 and 1000),
  most_lanes int check (most_lanes between 1 and 10000)
);

create table lane_rule (
  lane_id bigint primary key references lane on delete cascade,
  weight int not null default 1 check (weight between 1 and 1000),
  paused_at timestamptz,
  paused_by text,
  check ((paused_at is null) = (paused_by is null))
);
