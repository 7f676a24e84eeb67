-- Stores the columns that were crawled of relations of database $1.
insert into relation_columns (securable_id, token, names, types)
select s.id, c.token, c.names, c.types
from crawled_columns c
  join securable s on s.database_id = $1 and s.oid = c.oid and s.kind not in ('database', 'schema')
    and s.dropped_at is null
on conflict (securable_id) do update set token = excluded.token, names = excluded.names, types = excluded.types
