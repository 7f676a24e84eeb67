-- The numbers of jobs ($1) and of all that they submitted, by state. A job lists in its result what it submitted,
-- because a request may have coalesced into a job that has another parent or none.
with recursive family (id) as (
  select j.id from job j where j.id = any ($1)
  union
  select next.id
  from family f
    cross join lateral (
      select c.id from job c where c.parent_id = f.id
      union all
      select listed.id::bigint
      from job p, jsonb_array_elements_text(
        case jsonb_typeof(p.result -> 'submitted') when 'array' then p.result -> 'submitted' else '[]' end) as listed (id)
      where p.id = f.id
    ) next
)
select j.state, array_agg(j.id order by j.id) as ids
from job j join family f on f.id = j.id
group by j.state
