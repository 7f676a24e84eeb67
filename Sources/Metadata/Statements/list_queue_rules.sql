-- The rules of the queue at one instant: a row for the whole queue, then those of connections and lanes that differ
-- from it. Rules of connections that are deleted and of databases that are gone do not count any more.
select 'queue' as subject, version as number, 0::bigint as parked_by, null::int as weight, most_lanes,
  to_char(paused_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as paused_at, paused_by
from queue_rules
union all
select 'connection', r.connection_id, r.connection_id, r.weight, r.most_lanes, null, null
from connection_rule r join connection c on c.id = r.connection_id
where c.state <> 'deleted' and (r.weight <> 1 or r.most_lanes is not null)
union all
select 'lane', r.lane_id, l.parked_by, r.weight, null,
  to_char(r.paused_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), r.paused_by
from lane_rule r
  join lane l on l.id = r.lane_id
  join connection c on c.id = l.connection_id
  left join securable d on d.id = l.database_id
where c.state <> 'deleted' and d.dropped_at is null and (r.weight <> 1 or r.paused_at is not null)
