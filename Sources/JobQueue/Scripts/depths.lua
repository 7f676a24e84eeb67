-- How these lanes and connections stand. Changes nothing; a few look-ups each.
-- KEYS: see shard.lua. ARGV: lanes and connections
-- Returns {waiting jobs, leased jobs of a lane or leased lanes of a connection, worker that has the lane or phase of the
-- connection or '', ms since the lane was leased or -1, ms until it is tried if it is parked or -1, ...}.
local time, rows = now(), {}
for _, subject in ipairs(ARGV) do
  local till, row = call('ZSCORE', PARKED, subject)
  if #subject == 21 then
    local packed = call('HGET', LEASE, subject)
    local lease = packed and cmsgpack.unpack(packed)
    row = {tonumber(call('HGET', COUNTS, subject) or 0), lease and #lease.jobs or 0, lease and lease.worker or '',
      lease and math.max(time - lease.since, 0) or -1}
  else
    row = {tonumber(call('HGET', DEPTHS, subject) or 0), tonumber(call('HGET', WORK, subject) or 0),
      call('HGET', PHASE, subject) or '', -1}
  end
  row[5] = till and math.max(till - time, 0) or -1
  for _, value in ipairs(row) do rows[#rows + 1] = value end
end
return rows
