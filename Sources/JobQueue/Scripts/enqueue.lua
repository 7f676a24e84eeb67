-- Takes in jobs; a job that is already here (waiting, delayed or leased) is left where it is. A leased one is noted:
-- if it settles for good it waits once more, because it may have been made available again after that was decided.
-- KEYS: see shard.lua. ARGV: 1 the epoch that the caller knows, then groups of: lane, delay in ms (0: none), number of
-- jobs, then these jobs
-- Returns how many jobs were new, or the error EPOCHLOST if this is another epoch's memory.
local time, at, added = now(), 2, 0
if call('GET', EPOCH) ~= ARGV[1] then return redis.error_reply('EPOCHLOST the queue is of another epoch') end
while ARGV[at] do
  local lane, delay, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local jobs, members, running, fresh = {}, {}, {}, {}
  for index = 1, count do
    jobs[index] = ARGV[at + 2 + index]
    members[index] = lane .. jobs[index]
  end
  local packed = call('HGET', LEASE, lane)
  local lease = packed and cmsgpack.unpack(packed) or {jobs = {}}
  for _, job in ipairs(lease.jobs) do running[job] = true end
  local due = call('ZMSCORE', DELAYED, unpack(members))
  for index, job in ipairs(jobs) do
    if running[job] then
      lease.again = lease.again or {}
      lease.again[job] = true
    elseif not due[index] then
      fresh[#fresh + 1] = job
    end
  end
  if lease.again then call('HSET', LEASE, lane, cmsgpack.pack(lease)) end
  if delay == 0 then
    added = added + move('ZADD', lane, fresh)
    offer(lane)
  else
    for _, job in ipairs(fresh) do
      if not call('ZSCORE', WAITING, lane .. job) then
        added = added + call('ZADD', DELAYED, 'NX', time + delay, lane .. job)
      end
    end
  end
  at = at + 3 + count
end
return added
