-- Says where a job is and what it waits for. Changes nothing; O(log n), but O(batch) while its lane is leased.
-- KEYS: see shard.lua. ARGV: 1 lane, 2 job
-- Returns {'absent'}, {'delayed', ms}, {'leased', worker} or {'waiting', jobs ahead in the lane, worker that has the
-- lane or '', phase of the connection or '', ms until it is tried again or -1, 1 if the lane or the queue is paused}.
local lane, job, time, worker = ARGV[1], ARGV[2], now(), ''
local due = call('ZSCORE', DELAYED, lane .. job)
if due then return {'delayed', math.max(due - time, 0)} end
local packed = call('HGET', LEASE, lane)
if packed then
  local lease = cmsgpack.unpack(packed)
  worker = lease.worker
  for _, running in ipairs(lease.jobs) do if running == job then return {'leased', worker} end end
end
if not call('ZSCORE', WAITING, lane .. job) then return {'absent'} end
local connection = lane:sub(1, 10)
local ahead = call('ZLEXCOUNT', WAITING, '[' .. lane, '(' .. lane .. job)
local till = call('ZSCORE', PARKED, connection)
local paused = call('SISMEMBER', PAUSED, lane) + call('SISMEMBER', PAUSED, '*') > 0
return {'waiting', ahead, worker, call('HGET', PHASE, connection) or '', till and math.max(till - time, 0) or -1,
  paused and 1 or 0}
