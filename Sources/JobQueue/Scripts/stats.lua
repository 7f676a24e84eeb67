-- The state of the shard at one instant. Its cost grows with lanes and leases, up to `limit` of each, and with parked
-- connections and paused lanes, never with the number of jobs. Changes nothing.
-- KEYS: see shard.lua. ARGV: 1 limit
-- Returns {epoch, counters as name, value, ..., number delayed, number of lanes with waiting jobs,
-- {lane, waiting, ...}, {connection, phase, ms until it is tried or -1, ...}, paused lanes and '*',
-- {lane, worker, epoch, sequence, jobs, ms until it expires, ...}}.
local time, limit = now(), tonumber(ARGV[1])
local lanes, phases, leases = {}, {}, {}
for _, lane in ipairs(call('ZRANGE', LANES, 0, limit - 1)) do
  lanes[#lanes + 1] = lane
  lanes[#lanes + 1] = tonumber(call('HGET', COUNTS, lane))
end
for index, entry in ipairs(call('HGETALL', PHASE)) do
  phases[#phases + 1] = entry
  if index % 2 == 0 then
    local till = call('ZSCORE', PARKED, phases[#phases - 1])
    phases[#phases + 1] = till and math.max(till - time, 0) or -1
  end
end
for index, entry in ipairs(call('ZRANGE', LEASES, 0, limit - 1, 'WITHSCORES')) do
  if index % 2 == 1 then
    local lease = cmsgpack.unpack(call('HGET', LEASE, entry))
    for _, value in ipairs({entry, lease.worker, lease.epoch, lease.sequence, #lease.jobs}) do
      leases[#leases + 1] = value
    end
  else
    leases[#leases + 1] = math.max(entry - time, 0)
  end
end
return {call('GET', EPOCH), call('HGETALL', COUNTERS), call('ZCARD', DELAYED), call('ZCARD', LANES), lanes, phases,
  call('SMEMBERS', PAUSED), leases}
