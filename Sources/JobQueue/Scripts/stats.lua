-- The state of the shard at one instant. Its cost grows with rules and with connections that are not open, and with
-- those that have waiting jobs, parked lanes and leases, up to `limit` of each; never with the number of jobs. What waits
-- in parked lanes beyond the limit is not counted. Changes nothing.
-- KEYS: see shard.lua. ARGV: 1 limit
-- Returns {epoch, counters as name, value, ..., number of lanes with waiting jobs, waiting jobs that are parked,
-- {connection, waiting, lanes in work, phase or '', ms until it is tried or -1, ...},
-- {lane, worker, epoch, sequence, jobs, ms since, ms until it expires, ...}, rules as field, value, ...,
-- {ms of the oldest sample's age, its five totals}, number of leases}.
local time, limit, parked, connections, leases, seen = now(), tonumber(ARGV[1]), 0, {}, {}, {}
local function left(key, subject)
  local till = call('ZSCORE', key, subject)
  return till and math.max(till - time, 0) or -1
end
local function describe(connection)
  if seen[connection] or #connections >= 5 * limit then return end
  seen[connection] = true
  for _, value in ipairs({connection, tonumber(call('HGET', DEPTHS, connection) or 0),
    tonumber(call('HGET', WORK, connection) or 0), call('HGET', PHASE, connection) or '', left(PARKED, connection)}) do
    connections[#connections + 1] = value
  end
end
for _, key in ipairs({PHASE, WORK, DEPTHS}) do
  for index, entry in ipairs(call('HSCAN', key, 0, 'COUNT', limit)[2]) do
    if index % 2 == 1 then describe(entry) end
  end
end
for _, connection in ipairs(call('HKEYS', PHASE)) do parked = parked + (call('HGET', DEPTHS, connection) or 0) end
for _, lane in ipairs(call('ZRANGE', PARKED, 0, limit - 1)) do
  if #lane == 21 and not call('HGET', PHASE, lane:sub(1, 10)) then
    parked = parked + (call('HGET', COUNTS, lane) or 0)
  end
end
for _, lane in ipairs(call('ZRANGE', LEASES, 0, limit - 1)) do
  local packed = call('HGET', LEASE, lane)
  local lease = packed and cmsgpack.unpack(packed)
  for _, value in ipairs(lease and {lane, lease.worker, lease.epoch, lease.sequence, #lease.jobs,
    math.max(time - lease.since, 0), left(LEASES, lane)} or {}) do leases[#leases + 1] = value end
end
local oldest = call('LINDEX', SAMPLES, -1)
oldest = oldest and cmsgpack.unpack(oldest) or {time}
oldest[1] = time - oldest[1]
for index = 2, 6 do oldest[index] = tonumber(oldest[index] or 0) end
return {call('GET', EPOCH), call('HGETALL', COUNTERS), call('ZCARD', LANES), parked, connections, leases,
  call('HGETALL', RULES), oldest, call('ZCARD', LEASES)}
