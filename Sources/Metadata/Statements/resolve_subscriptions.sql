-- What each request is about, in the order of the requests: the user, the data source, its lane.
select i.id as identity_id, d.id as securable_id, d.enabled, l.id as lane_id,
  coalesce(u.role is not null, false) as has_role
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) with ordinality
    as r (user_name, connection, database, schema, name, position)
  left join identity i on i.name = r.user_name
  left join data_source d on d.connection = r.connection and d.database = r.database and d.schema = r.schema
    and d.name = r.name and exists (select from connection c where c.id = d.connection_id and c.state <> 'deleted')
  left join lane l on l.database_id = d.database_id
  left join user_role u on u.identity_id = i.id and u.connection_id = d.connection_id
order by r.position
