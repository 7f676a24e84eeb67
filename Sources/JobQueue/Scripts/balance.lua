-- Checks that the sums of the shard agree with what they count, at one instant, and samples what must not be twice.
-- Changes nothing; costs what there are leases and connections, up to `limit` of each.
-- KEYS: see shard.lua. ARGV: 1 limit, 2 where among the ready lanes the sample begins, from 0 to 1
-- Returns {ms that the first lease is overdue, the first delayed job, the first parked connection or lane, then rule
-- that is broken, what, what is wrong, ...}.
local time, limit, faults = now(), tonumber(ARGV[1]), {}
local function report(...) for _, value in ipairs({...}) do faults[#faults + 1] = value end end
local function equal(name, subject, noted, found)
  if noted ~= found then report(name, subject, found .. ' found, ' .. noted .. ' noted') end
end
local function sum(prefix)
  local total, fields = 0, call('HGETALL', COUNTERS)
  for at = 1, #fields, 2 do if fields[at]:sub(1, #prefix) == prefix then total = total + fields[at + 1] end end
  return total
end
for index, key in ipairs({LEASES, DELAYED, PARKED}) do
  faults[index] = math.max(time - (call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or time), 0)
end
equal('sum', 'waiting jobs', sum('waiting:'), call('ZCARD', WAITING))
equal('sum', 'delayed jobs', sum('delayed:'), call('ZCARD', DELAYED))
equal('sum', 'lanes with waiting jobs', call('HLEN', COUNTS), call('ZCARD', LANES))
equal('sum', 'ready lanes', call('HLEN', PLACES), call('ZCARD', READY))
equal('sum', 'leases', call('ZCARD', LEASES), call('HLEN', LEASE))
for name, keys in pairs({waiting = {DEPTHS, WAITING}, delayed = {LATE, DELAYED}}) do
  local total, few = 0, call('HLEN', keys[1]) <= limit
  for _, depth in ipairs(few and call('HVALS', keys[1]) or {}) do total = total + depth end
  if few then equal('sum', name .. ' jobs of all connections', total, call('ZCARD', keys[2])) end
end
local leased, work = 0, {}
for _, lane in ipairs(call('ZRANGE', LEASES, 0, limit - 1)) do
  local packed, connection = call('HGET', LEASE, lane), lane:sub(1, 10)
  local lease = packed and cmsgpack.unpack(packed) or {jobs = {}, epoch = call('GET', EPOCH), sequence = 0}
  if not packed then report('lease', lane, 'it has a time to expire, and no jobs') end
  local ours = lease.epoch == call('GET', EPOCH) and lease.sequence <= tonumber(call('GET', SEQUENCE) or 0)
  if not ours then report('fence', lane, 'its fence is none of this shard') end
  for _, job in ipairs({unpack(lease.jobs, 1, 10)}) do
    local twice = call('ZSCORE', WAITING, lane:sub(12) .. job) or call('ZSCORE', DELAYED, lane .. job)
    if twice then report('job twice', lane, 'job ' .. tonumber(job:sub(2, 16)) .. ' is leased, and waits too') end
  end
  leased, work[connection] = leased + #lease.jobs, (work[connection] or 0) + 1
end
if call('ZCARD', LEASES) <= limit then
  equal('sum', 'leased jobs', sum('leased:'), leased)
  for _, connection in ipairs(call('HKEYS', WORK)) do work[connection] = work[connection] or 0 end
  for connection, lanes in pairs(work) do
    equal('lanes in work', connection, tonumber(call('HGET', WORK, connection) or 0), lanes)
  end
end
local phases = call('HSCAN', PHASE, 0, 'COUNT', limit)[2]
for index = 1, #phases, 2 do
  local connection, phase, till = phases[index], phases[index + 1], call('ZSCORE', PARKED, phases[index])
  if (phase == 'parked') ~= (till and true or false) then
    report('phase', connection, 'it is ' .. phase .. (till and ', and yet' or ', and not') .. ' to be tried at a time')
  elseif #phase == 21 and not call('ZSCORE', LEASES, phase) then
    report('phase', connection, 'lane ' .. phase .. ' should be trying it, and is not leased')
  end
end
local start = math.floor(call('ZCARD', READY) * ARGV[2])
for _, member in ipairs(call('ZRANGE', READY, start, start + limit - 1)) do
  local lane = member:sub(2, 11) .. '.' .. member:sub(28)
  if call('HGET', PLACES, lane) ~= member then report('ready lane', lane, 'it has a place that it does not know') end
  if not call('HGET', COUNTS, lane) then report('ready lane', lane, 'it may be taken, and no job of it waits') end
end
return faults
