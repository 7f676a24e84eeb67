-- Stores the audiences of connection $1; those that exist keep their role.
insert into audience (connection_id, key, access, condition, role, policies, form)
select $1, a.key, a.access, a.condition, a.role, string_to_array(a.policies, E'\x1f'), a.form
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
  as a (key, access, condition, role, policies, form)
order by a.role
on conflict (connection_id, role) do update set policies = excluded.policies, condition = excluded.condition,
  form = excluded.form
returning id, role
