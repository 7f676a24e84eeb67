-- How many users hold something directly in each of the schemas and databases $1, by hand or through audiences without a
-- role, with the place's own audience if there is one; those of a place that has its audience are counted if $2. Where
-- there are not more than $3 users at all nobody is counted. Schemas come first.
select p.id as place_id, p.connection_id, coalesce(p.database_id, p.id) as database_id, a.id as audience_id, a.form,
  case when a.form in ('joining', 'audience') and not $2 then null
    when coalesce(a.form, 'direct') = 'direct' and (select count(*) from (select from identity limit $3 + 1) i) <= $3 then 0
    else (
      select count(distinct h.identity_id) from (
        select u.identity_id, u.securable_id, u.access from securable t join subscription u on u.securable_id = t.id
        where t.parent_id = p.id and p.kind = 'schema' and t.dropped_at is null
          and u.barred_by is null and (u.expires_at is null or u.expires_at > now())
        union all
        select u.identity_id, u.securable_id, u.access from securable t join subscription u on u.securable_id = t.id
        where t.database_id = p.id and p.kind = 'database' and t.kind not in ('database', 'schema')
          and t.dropped_at is null and u.barred_by is null and (u.expires_at is null or u.expires_at > now())
        union all
        select m.identity_id, null, null from audience b join audience_member m on m.audience_id = b.id
        where b.connection_id = p.connection_id and b.form = 'direct'
          and exists (select from audience_securable x join securable t on t.id = x.securable_id
            where x.audience_id = b.id and p.id in (t.parent_id, t.database_id))
      ) h
      where not exists (select from audience o
        where o.securable_id = h.securable_id and o.access = h.access and o.form in ('joining', 'audience'))
    ) end as holders
from securable p left join audience a on a.securable_id = p.id
where p.id = any ($1)
order by p.kind desc, p.id
