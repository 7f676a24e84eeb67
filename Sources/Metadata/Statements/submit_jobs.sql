-- Inserts jobs in the order given, or coalesces each into the job of the same key that has not started; the new ones
-- go to the outbox, and schedulers hear of their classes when the transaction commits. So do those that are more urgent
-- by it: what Redis knows of them in their old class is found finished, or runs for them.
-- DO UPDATE, not DO NOTHING: the row lock is what makes a concurrent claim wait for this transaction's changes.
-- The arrays in subselects hide their length: planning for each costs as much as the insertion of one job, and the server
-- plans once and for all only if that seems no worse. What is asked of a lane is asked in a subselect too: a join would
-- read all lanes for one job.
-- $1 lanes, $2 kinds, $3 classes, $4 scopes, $5 open keys, $6 parents, $7 the channel, $8 most jobs of an outbox entry
with submitted as (
  insert into job (lane_id, kind, class, scope, open_key, parent_id)
  select r.lane_id, r.kind, r.class, r.scope::jsonb, r.open_key, r.parent_id::bigint
  from unnest((select $1::bigint[]), (select $2::text[]), (select $3::bigint[]), (select $4::text[]),
    (select $5::text[]), (select $6::text[])) as r (lane_id, kind, class, scope, open_key, parent_id)
  on conflict (lane_id, open_key) where open_key is not null
  do update set coalesced = job.coalesced + 1, class = least(job.class, excluded.class)
  returning id, lane_id, class, kind, open_key, xmax = 0 as is_new,
    -- The statement began before its own changes. What another producer inserted since is unknown, and told once more.
    xmax = 0 or class is distinct from (select before.class from job before where before.id = job.id) as is_told,
    (select parked_by from lane where lane.id = job.lane_id) as parked_by
), announced as (
  insert into outbox (class, parked_by, kind, size, first_job, last_job, jobs, lanes)
  select class, parked_by, kind, count(*), min(id), max(id), array_agg(id), array_agg(lane_id)
  from (
    select id, lane_id, class, kind, parked_by,
      (row_number() over (partition by class, kind, parked_by order by id) - 1) / $8 as part
    from submitted where is_told
  ) new
  group by class, parked_by, kind, part
  order by min(id)
), room as materialized (
  select parked_by, (select is_full from queue_room where queue_room.lane_id = c.lane_id) as is_full
  from (select parked_by, min(lane_id) as lane_id from submitted group by parked_by) c
)
select s.id, s.lane_id, s.open_key, s.is_new, r.is_full as is_queue_full,
  (select pg_notify($7, string_agg(distinct t.class::text, '')) from submitted t where t.is_told) as announcement
from submitted s join room r on r.parked_by = s.parked_by
