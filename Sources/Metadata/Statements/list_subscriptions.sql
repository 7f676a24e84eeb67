-- Subscriptions by hand and by policy: $1 user, $2 to $5 the parts of a path; null matches everything. A user whom
-- several policies admit to a data source has one, with all of their names.
select i.name as "user", d.connection, d.database, d.schema, d.name, s.access, 'manual' as origin,
  '{}'::text[] as policies, s.barred_by,
  to_char(s.expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as expires_at,
  to_char(s.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at
from subscription s join identity i on i.id = s.identity_id join data_source d on d.id = s.securable_id
where d.enabled and ($1::text is null or i.name = $1) and ($2::text is null or d.connection = $2)
  and ($3::text is null or d.database = $3) and ($4::text is null or d.schema = $4)
  and ($5::text is null or d.name = $5) and (s.expires_at is null or s.expires_at > now())
union all
select i.name, d.connection, d.database, d.schema, d.name, a.access, 'policy', array_agg(distinct p.name order by p.name),
  null, null, null
from audience a
  cross join unnest(a.policies) as p (name)
  join audience_member m on m.audience_id = a.id
  join identity i on i.id = m.identity_id
  join audience_securable x on x.audience_id = a.id
  join data_source d on d.id = x.securable_id
  join user_role r on r.identity_id = i.id and r.connection_id = d.connection_id and r.role is not null
where d.enabled and a.form <> 'unplaced' and ($1::text is null or i.name = $1)
  and ($2::text is null or d.connection = $2) and ($3::text is null or d.database = $3)
  and ($4::text is null or d.schema = $4) and ($5::text is null or d.name = $5)
group by i.name, d.connection, d.database, d.schema, d.name, a.access
order by 1, 2, 3, 4, 5, 7, 6
