-- Makes ($2, $3) the members of the audiences of connection $1 that policies ask for, and says which audiences that
-- changed.
with wanted as (
  select * from unnest($2::bigint[], $3::bigint[]) as w (audience_id, identity_id)
), removed as (
  delete from audience_member m using audience a
  where a.id = m.audience_id and a.connection_id = $1 and a.securable_id is null
    and not exists (select from wanted w where (w.audience_id, w.identity_id) = (m.audience_id, m.identity_id))
  returning m.audience_id
), added as (
  insert into audience_member (audience_id, identity_id)
  select distinct audience_id, identity_id from wanted
  on conflict do nothing
  returning audience_id
)
select distinct audience_id, null::bigint as database_id, true as is_loss from removed
union all
select distinct audience_id, null::bigint, false from added
