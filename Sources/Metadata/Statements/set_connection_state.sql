-- Moves a connection to a state. The same state again only refreshes its reason; the kept states stay as they are.
update connection
set state = $2,
  state_reason = $3,
  state_since = case when state = $2 then state_since else now() end,
  probe_failures = case when $2 in ('stopped', 'unhealthy') then probe_failures else 0 end,
  probe_at = case when $2 in ('stopped', 'unhealthy') then probe_at end
where id = $1 and not state = any ($4) and state not in ('deleting', 'deleted')
  and (state, coalesce(state_reason, '')) is distinct from ($2, coalesce($3, ''))
