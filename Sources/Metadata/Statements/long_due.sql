-- Jobs that are enqueued, unfinished and due for more than $1 ms, by lane and number, after ($2, $3). One that runs
-- counts from its start: its worker may have vanished together with Redis's memory of it.
select j.id, j.lane_id, j.class,
  case l.kind when 'governance' then 0 else l.connection_id end as parked_by, 0::bigint as delay_ms
from job j join lane l on l.id = j.lane_id
where j.finished_at is null and j.enqueued and (j.lane_id, j.id) > ($2, $3)
  and case j.state when 'running' then j.started_at else j.scheduled_at end < now() - $1 * interval '1 millisecond'
order by j.lane_id, j.id
limit $4
