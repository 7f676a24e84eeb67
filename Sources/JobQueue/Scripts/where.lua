-- Says where a job is and what it waits for. Changes nothing; O(log n), but O(batch) while its lane is leased.
-- KEYS: see shard.lua. ARGV: 1 lane, 2 job
-- Returns {'absent'}, {'delayed', ms}, {'leased', worker, ms since} or {'waiting', jobs ahead in the lane, worker that
-- has the lane or '', ms since, phase of the connection or '', ms until it is tried again or -1, ms until the lane is
-- tried again or -1, 1 if the lane is paused, 1 if the queue is, lanes of the connection in work, its cap or -1}.
local lane, job, time = ARGV[1], ARGV[2], now()
local connection, member, held = lane:sub(1, 10), lane:sub(12) .. job, {'', 0}
local function left(key, subject)
  local till = call('ZSCORE', key, subject)
  return till and math.max(till - time, 0) or -1
end
if call('ZSCORE', DELAYED, lane .. job) then return {'delayed', left(DELAYED, lane .. job)} end
local packed = call('HGET', LEASE, lane)
if packed then
  local lease = cmsgpack.unpack(packed)
  held = {lease.worker, math.max(time - lease.since, 0)}
  for _, running in ipairs(lease.jobs) do if running == job then return {'leased', held[1], held[2]} end end
end
if not call('ZSCORE', WAITING, member) then return {'absent'} end
local ahead = call('ZLEXCOUNT', WAITING, '[' .. lane:sub(12), '(' .. member)
return {'waiting', ahead, held[1], held[2], call('HGET', PHASE, connection) or '', left(PARKED, connection),
  left(PARKED, lane), rule('pause:', lane) and 1 or 0, rule('pause:', '*') and 1 or 0,
  tonumber(call('HGET', WORK, connection) or 0),
  connection ~= '0000000000' and tonumber(rule('cap:', connection) or rule('cap:', '*') or -1) or -1}
