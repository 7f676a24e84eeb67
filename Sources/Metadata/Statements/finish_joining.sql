-- Of the audiences of connection $1 with the roles $2 that are joining, those whose every desired member is among the
-- pairs ($3, $4) hold alone from now on. Returns their securables, with the lanes of their databases.
with found as (
  select * from unnest($3::text[], $4::text[]) as f (role, member)
), joined as (
  update audience a set form = 'audience'
  where a.connection_id = $1 and a.form = 'joining' and a.role = any ($2)
    and not exists (select from desired_member m
      where m.audience_id = a.id
        and not exists (select from found f where f.role = a.role and f.member = m.member_role))
  returning a.id
)
select distinct s.id as securable_id, l.id as lane_id
from joined j
  join audience_securable x on x.audience_id = j.id
  join securable s on s.id = x.securable_id
  join lane l on l.database_id = coalesce(s.database_id, s.id)
