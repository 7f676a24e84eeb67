-- Brings the relations of database $1 (or of its schema $2, or relation $3 alone) to what was crawled. What is known of a
-- part is found by index.
-- A relation in another's place takes over its row. What stood there may be in the target still, as a partition or under a
-- name that no sync lists, with what was granted on it: it keeps that in a row of its own, which comes as dropped.
with found as (
  select r.oid, s.id as parent_id, r.name, r.kind, r.owner, r.token
  from crawled_relation r
    join securable s on s.database_id = $1 and s.kind = 'schema' and s.oid = r.schema_oid and s.dropped_at is null
), known as (
  select id, oid, name, parent_id from securable
  where database_id = $1 and kind not in ('database', 'schema') and dropped_at is null
    and $2::bigint is null and $3::bigint is null
  union
  select id, oid, name, parent_id from securable
  where parent_id = $2 and kind not in ('database', 'schema') and dropped_at is null
  union
  select id, oid, name, parent_id from securable where id = $3 and dropped_at is null
  union
  select s.id, s.oid, s.name, s.parent_id
  from found f join securable s on s.database_id = $1 and s.oid = f.oid and s.kind not in ('database', 'schema')
    and s.dropped_at is null
  where $2::bigint is not null or $3::bigint is not null
), matched as (
  select k.id, k.name as known_name, k.parent_id as known_parent, f.*, false as is_recreated
  from known k join found f on f.oid = k.oid
  union all
  select k.id, k.name, k.parent_id, f.*, true
  from known k join found f on f.name = k.name and f.parent_id = k.parent_id and f.oid <> k.oid
  where not exists (select from found x where x.oid = k.oid)
    and not exists (select from known y where y.oid = f.oid)
), updated as (
  update securable s
  set name = m.name, parent_id = m.parent_id, oid = m.oid, owner = m.owner, kind = m.kind, token = coalesce(m.token, s.token)
  from matched m
  where s.id = m.id and (s.name, s.parent_id, s.oid, s.owner, s.kind, s.token)
    is distinct from (m.name, m.parent_id, m.oid, m.owner, m.kind, coalesce(m.token, s.token))
  returning s.id, m.is_recreated, m.known_name <> m.name as is_renamed, m.known_parent <> m.parent_id as is_moved
), replaced as (
  insert into securable (connection_id, parent_id, database_id, kind, name, oid, owner, dropped_at)
  select s.connection_id, s.parent_id, s.database_id, s.kind, s.name, s.oid, s.owner, now()
  from matched m join securable s on s.id = m.id
  where m.is_recreated and exists (select from managed_grant g where g.securable_id = m.id)
  returning id, oid
), kept as (
  update managed_grant g set securable_id = r.id
  from replaced r join known k on k.oid = r.oid
  where g.securable_id = k.id
), added as (
  insert into securable (connection_id, parent_id, database_id, kind, name, oid, owner, token)
  select d.connection_id, f.parent_id, d.id, f.kind, f.name, f.oid, f.owner, f.token
  from found f cross join securable d
  where d.id = $1 and not exists (select from matched m where m.oid = f.oid)
  returning id
), dropped as (
  update securable s set dropped_at = now()
  from known k
  where s.id = k.id and not exists (select from matched m where m.id = k.id)
    -- One that moved to a schema that no sync has seen is not dropped; the next sync of the database finds its place.
    and not exists (select from crawled_relation r where r.oid = k.oid)
  returning s.id
)
select id, 'added' as change from added
union all
select id, case when is_recreated then 'recreated' when is_moved then 'moved' else 'renamed' end from updated
where is_recreated or is_renamed or is_moved
union all select id, 'dropped' from dropped
union all select id, 'dropped' from replaced
