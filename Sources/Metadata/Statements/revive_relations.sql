-- Relations of database $1 that were taken out of the tree but are found again: by OID and name, because OIDs come round.
-- Such as a table that was a partition for a while. They get their row back, with its subscriptions.
update securable s set dropped_at = null
from crawled_relation r
where s.database_id = $1 and s.oid = r.oid and s.name = r.name and s.kind not in ('database', 'schema')
  and s.dropped_at is not null
  and not exists (select from securable x where x.database_id = $1 and x.oid = r.oid
    and x.kind not in ('database', 'schema') and x.dropped_at is null)
  and s.id = (select max(y.id) from securable y where y.database_id = $1 and y.oid = r.oid and y.name = r.name
    and y.kind not in ('database', 'schema') and y.dropped_at is not null)
returning s.id, 'recreated' as change
