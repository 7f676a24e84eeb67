-- Brings the databases of connection $1 to what was crawled. What was below a dropped database is dropped with it.
with known as (
  select id, oid, name from securable where connection_id = $1 and kind = 'database' and dropped_at is null
), matched as (
  select k.id, k.name as known_name, c.oid, c.name, c.owner, false as is_recreated
  from known k join crawled_schema c on c.oid = k.oid
  union all
  select k.id, k.name, c.oid, c.name, c.owner, true
  from known k join crawled_schema c on c.name = k.name and c.oid <> k.oid
  where not exists (select from crawled_schema x where x.oid = k.oid)
    and not exists (select from known y where y.oid = c.oid)
), updated as (
  update securable s set name = m.name, oid = m.oid, owner = m.owner
  from matched m
  where s.id = m.id and (s.name, s.oid, s.owner) is distinct from (m.name, m.oid, m.owner)
  returning s.id, m.is_recreated, m.known_name <> m.name as is_renamed
), added as (
  insert into securable (connection_id, kind, name, oid, owner)
  select $1, 'database', c.name, c.oid, c.owner
  from crawled_schema c where not exists (select from matched m where m.oid = c.oid)
  returning id
), dropped as (
  update securable s set dropped_at = now()
  from known k
  where k.id in (s.id, s.database_id) and s.dropped_at is null
    and not exists (select from matched m where m.id = k.id)
  returning s.id
)
select id, 'added' as change from added
union all select id, case when is_recreated then 'recreated' else 'renamed' end from updated
  where is_recreated or is_renamed
union all select id, 'dropped' from dropped
