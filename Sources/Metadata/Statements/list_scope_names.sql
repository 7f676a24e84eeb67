-- The names of users ($1), the paths of securables ($2, dropped ones too) and the roles of audiences ($3).
select 'user' as family, i.id, i.name, '{}'::text[] as parts from identity i where i.id = any ($1)
union all
select 'securable', t.id, t.name, array_remove(array[c.name, g.name, p.name, t.name], null)
from securable t
  join connection c on c.id = t.connection_id
  left join securable p on p.id = t.parent_id
  left join securable g on g.id = p.parent_id
where t.id = any ($2)
union all
select 'audience', a.id, a.role, '{}' from audience a where a.id = any ($3)
