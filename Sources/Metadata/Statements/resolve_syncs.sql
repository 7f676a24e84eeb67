-- What each path ($1 connections, $2 databases, $3 schemas, $4 tables; null below its level) names, in their order:
-- the connection's state, the lane that a sync of it is worked in, and the securable.
select c.state, coalesce(x.id, s.id, d.id) as securable_id,
  case when r.database is null then lr.id else ld.id end as lane_id,
  (r.database is null or d.id is not null) and (r.schema is null or s.id is not null)
    and (r.name is null or x.id is not null) as is_found
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
    as r (connection, database, schema, name, position)
  left join connection c on c.name = r.connection and c.state <> 'deleted'
  left join securable d on d.connection_id = c.id and d.kind = 'database' and d.name = r.database
    and d.dropped_at is null
  left join securable s on s.parent_id = d.id and s.name = r.schema and s.dropped_at is null
  left join securable x on x.parent_id = s.id and x.name = r.name and x.dropped_at is null
  left join lane ld on ld.database_id = d.id
  left join lane lr on lr.connection_id = c.id and lr.kind = 'roles'
order by r.position
