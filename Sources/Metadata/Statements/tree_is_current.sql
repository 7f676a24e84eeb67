-- Whether the tree of database $1 is what was crawled of all of it, tokens of origin $2 and the database's own, $3,
-- included.
select exists (select from securable where id = $1 and token_origin = $2 and token = $3)
  and not exists (
    select from crawled_schema c
      full join (select oid, name, owner, token from securable
        where database_id = $1 and kind = 'schema' and dropped_at is null) s on s.oid = c.oid
    where (c.name, c.owner, c.token) is distinct from (s.name, s.owner, s.token)
  ) and not exists (
    select from (select r.* from crawled_relation r join crawled_schema n on n.oid = r.schema_oid) c
      full join (select s.oid, s.name, s.kind, s.owner, s.token, p.oid as schema_oid, k.token as columns_token
        from securable s join securable p on p.id = s.parent_id left join relation_columns k on k.securable_id = s.id
        where s.database_id = $1 and s.kind not in ('database', 'schema') and s.dropped_at is null) s on s.oid = c.oid
    where (c.name, c.kind, c.owner, c.token, c.schema_oid, c.columns_token)
      is distinct from (s.name, s.kind, s.owner, s.token, s.schema_oid, s.columns_token)
  ) as is_current
