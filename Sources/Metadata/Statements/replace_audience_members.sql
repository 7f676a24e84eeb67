-- Makes ($2, $3) the members of the audiences of connection $1 that policies ask for, and says whom that changed, by
-- their roles there; or, if they are more than $4, only which audiences.
with wanted as (
  select * from unnest($2::bigint[], $3::bigint[]) as w (audience_id, identity_id)
), removed as (
  delete from audience_member m using audience a
  where a.id = m.audience_id and a.connection_id = $1 and a.securable_id is null
    and not exists (select from wanted w where (w.audience_id, w.identity_id) = (m.audience_id, m.identity_id))
  returning m.audience_id, m.identity_id
), added as (
  insert into audience_member (audience_id, identity_id)
  select distinct audience_id, identity_id from wanted
  on conflict do nothing
  returning audience_id, identity_id
), changed as (
  select audience_id, identity_id, true as is_loss from removed
  union all
  select audience_id, identity_id, false from added
), few as materialized (
  select count(distinct identity_id) <= $4 as now from changed
)
select c.audience_id, null as role, null::bigint as database_id, bool_or(c.is_loss) as is_loss
from changed c where not (select now from few) group by c.audience_id
union all
-- Who has no role there, and so no membership, is nobody's work.
select c.audience_id, r.role, null, c.is_loss
from changed c join user_role r on r.identity_id = c.identity_id and r.connection_id = $1
where (select now from few) and r.role is not null
