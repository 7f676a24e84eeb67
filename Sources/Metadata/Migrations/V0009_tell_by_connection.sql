-- Redis is told of jobs by turns of their connections, and holds a limited number of each: a million jobs of one do not
-- stand before the first of another, neither in the outbox nor in a refill, nor in Redis itself.

-- The connection that parks a lane, as Redis knows it; 0 for governance lanes, which no stopped instance holds up.
alter table lane add column parked_by bigint not null
  generated always as (case kind when 'governance' then 0 else connection_id end) stored;
create index lane_parked_by on lane (parked_by, id);

alter table outbox add column parked_by bigint;
insert into outbox (class, parked_by, kind, size, first_job, last_job, jobs, lanes)
select o.class, l.parked_by, o.kind, count(*), min(j.id), max(j.id), array_agg(j.id order by j.id),
  array_agg(j.lane_id order by j.id)
from outbox o cross join unnest(o.jobs, o.lanes) as j (id, lane_id) join lane l on l.id = j.lane_id
group by o.class, o.id, o.kind, l.parked_by
order by o.id;
delete from outbox where parked_by is null;
alter table outbox alter column parked_by set not null, drop constraint outbox_pkey,
  add primary key (class, parked_by, id);

-- A row for each class and connection that has not come to its end.
alter table refill drop constraint refill_pkey, add column parked_by bigint;
insert into refill (class, parked_by, epoch, lane_id, job_id)
select r.class, l.parked_by, r.epoch, r.lane_id, r.job_id
from refill r cross join (select distinct parked_by from lane) l;
delete from refill where parked_by is null;
alter table refill alter column parked_by set not null, add primary key (class, parked_by);

-- Connections of which Redis holds as many jobs as it may of one. What is new of them stays in the outbox.
create table full_connection (
  connection_id bigint primary key references connection on delete cascade,
  since timestamptz not null default now()
);

-- Whether the producers of a lane slow down: Redis is full, or full of its connection's jobs, or has not been told of
-- more than 10,000 entries of its outbox, as when no scheduler runs. Revokes never wait for room.
create view queue_room as
select l.id as lane_id, l.parked_by,
  q.full_since is not null
    or exists (select from full_connection f where f.connection_id = l.parked_by)
    or exists (select from outbox o where o.class = 1 and o.parked_by = l.parked_by offset 10000)
    or exists (select from outbox o where o.class = 2 and o.parked_by = l.parked_by offset 10000) as is_full
from lane l cross join queue_epoch q;
