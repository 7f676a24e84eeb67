-- Jobs that Redis has not been told of in epoch $1, oldest first.
select j.id, j.lane_id, j.class, j.enqueued_epoch,
  case l.kind when 'governance' then 0 else l.connection_id end as parked_by,
  greatest(0, extract(epoch from j.scheduled_at - now()) * 1000)::bigint as delay_ms
from job j join lane l on l.id = j.lane_id
where j.enqueued_epoch < $1 and j.finished_at is null
order by j.enqueued_epoch, j.id
limit $2
