-- Takes in jobs; a job that is already here (waiting, delayed or leased) is left where it is.
-- KEYS: see shard.lua. ARGV: groups of: lane, delay in ms (0: none), number of jobs, then these jobs
-- Returns how many jobs were new.
local time, at, added = now(), 1, 0
while ARGV[at] do
  local lane, delay, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local jobs, members, running, fresh = {}, {}, {}, {}
  for index = 1, count do
    jobs[index] = ARGV[at + 2 + index]
    members[index] = lane .. jobs[index]
  end
  local packed = call('HGET', LEASE, lane)
  for _, job in ipairs(packed and cmsgpack.unpack(packed).jobs or {}) do running[job] = true end
  local due = call('ZMSCORE', DELAYED, unpack(members))
  for index, job in ipairs(jobs) do
    if not running[job] and not due[index] then fresh[#fresh + 1] = job end
  end
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
