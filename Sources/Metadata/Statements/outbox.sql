-- Jobs that Redis does not know yet, oldest first.
select j.id, j.lane_id, j.class,
  case l.kind when 'governance' then 0 else l.connection_id end as parked_by,
  greatest(0, extract(epoch from j.scheduled_at - now()) * 1000)::bigint as delay_ms
from job j join lane l on l.id = j.lane_id
where not j.enqueued and j.finished_at is null
order by j.id
limit $1
