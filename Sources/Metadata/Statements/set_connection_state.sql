-- Moves a connection to a state. The same state again only refreshes its reason; the kept states stay as they are.
-- The first probe comes a little later: whoever reports a connection parks it after that, and a probe wakes it.
update connection
set state = $2,
  state_reason = $3,
  state_since = case when state = $2 then state_since else now() end,
  probe_failures = case when $2 in ('stopped', 'unhealthy') then probe_failures else 0 end,
  probe_at = case when $2 in ('stopped', 'unhealthy') then coalesce(probe_at, now() + interval '1 second') end
where id = $1 and not state = any ($4) and state not in ('deleting', 'deleted')
  and (state, coalesce(state_reason, '')) is distinct from ($2, coalesce($3, ''))
