-- Makes ($2, $3) the data sources of the audiences of connection $1 that policies ask for, and says where that changed something.
with wanted as (
  select * from unnest($2::bigint[], $3::bigint[]) as w (audience_id, securable_id)
), removed as (
  delete from audience_securable x using audience a
  where a.id = x.audience_id and a.connection_id = $1 and a.securable_id is null
    and not exists (select from wanted w where (w.audience_id, w.securable_id) = (x.audience_id, x.securable_id))
  returning x.audience_id, x.securable_id
), added as (
  insert into audience_securable (audience_id, securable_id)
  select distinct audience_id, securable_id from wanted
  on conflict do nothing
  returning audience_id, securable_id
)
select distinct r.audience_id, null as role, s.database_id, true as is_loss from removed r join securable s on s.id = r.securable_id
union all
select distinct a.audience_id, null, s.database_id, false from added a join securable s on s.id = a.securable_id
