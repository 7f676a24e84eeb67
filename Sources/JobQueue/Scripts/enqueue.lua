-- Takes in jobs; a job that is already here (waiting, delayed or leased) is left where it is. A leased one is noted:
-- if it settles for good it waits once more, because it may have been made available again after that was decided.
-- KEYS: see shard.lua. ARGV: 1 the epoch that the caller knows, 2 most jobs that may wait or be delayed before this call
-- is refused (0: any number), then groups of: lane, delay in ms (0: none), its jobs in one string
-- Returns how many jobs were new, or the error EPOCHLOST if this is another epoch's memory, or FULL.
local time, most, added = now(), tonumber(ARGV[2]), 0
if call('GET', EPOCH) ~= ARGV[1] then return redis.error_reply('EPOCHLOST the queue is of another epoch') end
if most > 0 and call('ZCARD', WAITING) + call('ZCARD', DELAYED) >= most then
  call('HINCRBY', COUNTERS, 'refused', 1)
  return redis.error_reply('FULL as many jobs wait as may')
end
for at = 3, #ARGV, 3 do
  local lane, delay = ARGV[at], tonumber(ARGV[at + 1])
  local number, known, jobs, members, fresh = lane:sub(12), {}, {}, {}, {}
  for first = 1, #ARGV[at + 2], 17 do
    local job = ARGV[at + 2]:sub(first, first + 16)
    jobs[#jobs + 1] = job
    members[#members + 1] = number .. job
  end
  for index, score in ipairs(call('ZMSCORE', WAITING, unpack(members))) do known[jobs[index]] = score end
  if call('ZCARD', DELAYED) > 0 then
    for _, job in ipairs(jobs) do known[job] = known[job] or call('ZSCORE', DELAYED, lane .. job) end
  end
  local packed = call('HGET', LEASE, lane)
  if packed then
    local lease, offered = cmsgpack.unpack(packed), {}
    for _, job in ipairs(jobs) do offered[job] = true end
    for _, job in ipairs(lease.jobs) do
      if offered[job] then
        known[job], lease.again = true, lease.again or {}
        lease.again[job] = true
      end
    end
    if lease.again then call('HSET', LEASE, lane, cmsgpack.pack(lease)) end
  end
  for _, job in ipairs(jobs) do
    if not known[job] then
      known[job] = true
      fresh[#fresh + 1] = job
    end
  end
  added = added + #fresh
  if delay == 0 then
    move('ZADD', lane, fresh)
    place(lane)
  else
    for _, job in ipairs(fresh) do
      announce(time + delay, time, job:sub(1, 1))
      call('ZADD', DELAYED, time + delay, lane .. job)
    end
    count('delayed:', fresh, 1)
  end
end
call('HINCRBY', COUNTERS, 'enqueued', added)
return added
