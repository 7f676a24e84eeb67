-- Claims the jobs of a lease in one statement, under its fence, and says of each what became of it:
--   claimed     runs now
--   poisoned    its worker vanished too often; discarded here
--   finished    nothing left to do
--   early       not before remaining_ms, which is 0 while a suspect runs alone
--   busy        somebody is changing it at this moment, or the lease is of an older epoch than the ledger's, from a Redis
--               that came back with an old memory: fences only rise; it comes back at once
-- $1 job numbers, $2 epoch, $3 sequence, $4 worker, $5 stalls allowed
with locked as (
  select j.id, j.state, j.scheduled_at, j.stalls,
    -- A later lease of the same epoch: its worker vanished. Under the same fence it is this worker itself, whose answer
    -- to the claim was lost; in an earlier epoch Redis forgot the lease, and no worker is to blame.
    j.state = 'running' and j.fence_epoch = $2 and j.fence_sequence < $3 as stalled
  from job j
  where j.id = any ($1) and j.finished_at is null and $2 >= (select epoch from queue_epoch)
    and (j.state <> 'running' or (j.fence_epoch, j.fence_sequence) <= ($2, $3))
  order by j.id
  for update skip locked
), suspect as (
  -- Stalled more than once: each runs alone from now on, so that its neighbours are not discarded with it.
  select min(id) as id from locked where stalled and stalls >= 1
), due as (
  select l.* from locked l cross join suspect s
  where (l.state = 'running' or l.scheduled_at <= now() + interval '50 milliseconds')
    and (s.id is null or l.id = s.id)
), claimed as (
  update job j set state = 'running', fence_epoch = $2, fence_sequence = $3, worker = $4, open_key = null,
    started_at = now(), stalls = d.stalls + d.stalled::int
  from due d
  where j.id = d.id and d.stalls + d.stalled::int < $5
  returning j.id, j.lane_id, j.kind, j.class, j.scope, j.attempt, j.max_attempts
), poisoned as (
  update job j set state = 'discarded', open_key = null, finished_at = now(), stalls = d.stalls + 1,
    error = 'the worker vanished ' || (d.stalls + 1) || ' times while this job ran',
    remedy = 'find out why workers die on it (memory, a crash), then: sluice job retry ' || j.id
  from due d
  where j.id = d.id and d.stalls + d.stalled::int >= $5
  returning j.id
)
select r.id,
  case when c.id is not null then 'claimed'
    when p.id is not null then 'poisoned'
    when j.id is null or j.finished_at is not null then 'finished'
    when l.id is not null then 'early'
    when j.state = 'running' and (j.fence_epoch, j.fence_sequence) > ($2, $3) then 'finished'
    else 'busy' end as fate,
  greatest(0, extract(epoch from l.scheduled_at - now()) * 1000)::bigint as remaining_ms,
  c.kind, c.class, c.scope::text as scope, c.attempt, c.max_attempts
from unnest($1::bigint[]) as r (id)
  left join job j on j.id = r.id
  left join locked l on l.id = r.id
  left join claimed c on c.id = r.id
  left join poisoned p on p.id = r.id
order by r.id
