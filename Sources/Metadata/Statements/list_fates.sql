-- Why a claim did not take these jobs:
--   finished    nothing left to do, or somebody leased it later
--   early       not before remaining_ms
--   busy        somebody is changing it at this moment, a neighbour runs alone, or the lease is not newer than the job's
--               last: it comes back at once
--   outdated    the lease is of an older epoch: another Redis holds the queue
-- $1 job numbers, $2 epoch, $3 sequence
select r.id,
  case when j.id is null or j.finished_at is not null then 'finished'
    when j.state = 'running' and (j.fence_epoch, j.fence_sequence) > ($2, $3) then 'finished'
    when $2 < (select epoch from queue_epoch) then 'outdated'
    when j.state <> 'running' and j.scheduled_at > now() + interval '50 milliseconds' then 'early'
    else 'busy' end as fate,
  greatest(0, extract(epoch from j.scheduled_at - now()) * 1000)::bigint as remaining_ms
from unnest((select $1::bigint[])) as r (id) left join job j on j.id = r.id
order by r.id
