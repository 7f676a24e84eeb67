-- Brings the schemas of database $1 (or its schema $2 and those that were crawled) to what was crawled.
with known as (
  select id, oid, name from securable
  where database_id = $1 and kind = 'schema' and dropped_at is null
    and ($2::bigint is null or id = $2 or oid in (select oid from crawled_schema))
), matched as (
  select k.id, k.name as known_name, c.oid, c.name, c.owner, c.token, false as is_recreated
  from known k join crawled_schema c on c.oid = k.oid
  union all
  select k.id, k.name, c.oid, c.name, c.owner, c.token, true
  from known k join crawled_schema c on c.name = k.name and c.oid <> k.oid
  where not exists (select from crawled_schema x where x.oid = k.oid)
    and not exists (select from known y where y.oid = c.oid)
), updated as (
  update securable s set name = m.name, oid = m.oid, owner = m.owner, token = coalesce(m.token, s.token)
  from matched m
  where s.id = m.id and (s.name, s.oid, s.owner, s.token) is distinct from (m.name, m.oid, m.owner, coalesce(m.token, s.token))
  returning s.id, m.is_recreated, m.known_name <> m.name as is_renamed
), added as (
  insert into securable (connection_id, parent_id, database_id, kind, name, oid, owner, token)
  select d.connection_id, d.id, d.id, 'schema', c.name, c.oid, c.owner, c.token
  from crawled_schema c cross join securable d
  where d.id = $1 and not exists (select from matched m where m.oid = c.oid)
  returning id
), dropped as (
  update securable s set dropped_at = now()
  from known k
  where k.id in (s.id, s.parent_id) and s.dropped_at is null
    and not exists (select from matched m where m.id = k.id)
    -- A table that moved to another schema is not dropped with its old one.
    and not exists (select from crawled_relation r where r.oid = s.oid and s.kind <> 'schema')
  returning s.id
)
select id, 'added' as change from added
union all select id, case when is_recreated then 'recreated' else 'renamed' end from updated
  where is_recreated or is_renamed
union all select id, 'dropped' from dropped
