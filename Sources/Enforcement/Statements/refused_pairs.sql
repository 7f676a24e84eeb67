-- Metadata database: which of the roles $2 should not have, or ('read') not fully have, which of the enabled data sources $4
-- of database $1; the roles may belong to the people $3. Whom a role belongs to is an expression that no index knows.
with entitled as (
  select role, securable_id, max(access) as access
  from (
    select d.role, d.securable_id, d.access from desired_access d
    where d.database_id = $1 and d.role_kind = 'user' and d.identity_id = any ($3) and d.role = any ($2)
      and d.securable_id = any ($4)
    union all
    select m.member_role, x.securable_id, a.access
    from desired_member m join audience a on a.id = m.audience_id and a.form in ('joining', 'audience')
      join audience_securable x on x.audience_id = a.id
    where m.identity_id = any ($3) and m.member_role = any ($2) and x.securable_id = any ($4)
      and m.connection_id = (select connection_id from securable where id = $1)
  ) e
  group by 1, 2
)
select r.role, d.id, d.oid, d.kind, e.access
from unnest($2::text[]) as r (role) cross join data_source d
  left join entitled e on e.role = r.role and e.securable_id = d.id
where d.database_id = $1 and d.enabled and d.id = any ($4) and e.access is distinct from 'write'
order by 1, 2
