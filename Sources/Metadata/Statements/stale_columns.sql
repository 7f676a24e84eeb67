-- Of the relations of database $1 that were crawled, those whose columns were never read, have changed since, or were
-- read of another origin than $2; without one, all of them.
select r.oid
from crawled_relation r
  join securable s on s.database_id = $1 and s.oid = r.oid and s.kind not in ('database', 'schema')
    and s.dropped_at is null
  join securable d on d.id = $1
  left join relation_columns k on k.securable_id = s.id
where k.token is distinct from r.columns_token or $2::text is null or d.token_origin is distinct from $2
order by r.oid
