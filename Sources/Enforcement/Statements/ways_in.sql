-- Metadata database: the audiences that carry USAGE of the schemas of database $1, or CONNECT to it, and those that did so
-- until now; of a connection that is left, none.
select a.role, a.form, s.id as securable_id, s.kind, s.oid
from audience a
  join securable s on s.id = a.securable_id and s.kind in ('schema', 'database')
  join connection c on c.id = a.connection_id and c.state not in ('inactive', 'deleting', 'deleted')
where s.id = $1 or s.database_id = $1
order by a.role
