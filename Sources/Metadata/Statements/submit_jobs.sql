-- Inserts jobs in the order given, or coalesces each into the job of the same key that has not started.
-- DO UPDATE, not DO NOTHING: the row lock is what makes a concurrent claim wait for this transaction's changes.
insert into job (lane_id, kind, class, scope, open_key, parent_id)
select r.lane_id, r.kind, r.class, r.scope::jsonb, r.open_key, r.parent_id::bigint
from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[])
  as r (lane_id, kind, class, scope, open_key, parent_id)
order by r.lane_id, r.open_key
on conflict (lane_id, open_key) where open_key is not null
do update set coalesced = job.coalesced + 1
returning id, lane_id, open_key, xmax = 0 as is_new
