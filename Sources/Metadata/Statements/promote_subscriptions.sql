-- Gives the securables $2 of connection $1 audiences of their own: with the access $3, the key $4, the role $5.
with promoted as (
  insert into audience (connection_id, key, access, condition, role, policies, form, securable_id)
  select $1, p.key, p.access, '', p.role, '{}', 'joining', p.securable_id
  from unnest($2::bigint[], $3::text[], $4::text[], $5::text[]) as p (securable_id, access, key, role)
  order by p.role
  on conflict (connection_id, role) do update set form = 'joining'
  returning id, securable_id
), listed as (
  insert into audience_securable (audience_id, securable_id) select id, securable_id from promoted on conflict do nothing
)
select id from promoted
