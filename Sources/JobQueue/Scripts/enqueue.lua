-- Takes in jobs; a job that is already here (waiting, delayed or leased) is left where it is, but a delayed one that is
-- offered without a delay waits from now on. A leased one is noted: if it settles for good it waits once more, because
-- it may have been made available again after that was decided.
-- KEYS: see shard.lua. ARGV: 1 the epoch that the caller knows, 2 most jobs that may wait or be delayed before this call
-- is refused (0: any number), 3 most of one connection before this call, or its groups are passed over, all of them,
-- because whoever offers a part again and again would get no further (0: any number), then groups of: lane, delay in ms
-- (0: none), its jobs in one string
-- Returns how many jobs were new, then the connections that were passed over; or the error EPOCHLOST if this is another
-- epoch's memory, or FULL.
local time, most, share, added, depths, full = now(), tonumber(ARGV[2]), tonumber(ARGV[3]), 0, {}, {}
if call('GET', EPOCH) ~= ARGV[1] then return redis.error_reply('EPOCHLOST the queue is of another epoch') end
if most > 0 and call('ZCARD', WAITING) + call('ZCARD', DELAYED) >= most then
  call('HINCRBY', COUNTERS, 'refused', 1)
  return redis.error_reply('FULL as many jobs wait as may')
end
-- Takes in a group and returns how many of its jobs were new.
local function take_in(lane, delay, text)
  local known, jobs, members, fresh, due = {}, {}, {}, {}, {}
  for first = 1, #text, 17 do
    jobs[#jobs + 1] = text:sub(first, first + 16)
    members[#members + 1] = lane:sub(12) .. jobs[#jobs]
  end
  for index, score in ipairs(call('ZMSCORE', WAITING, unpack(members))) do known[jobs[index]] = score end
  for _, job in ipairs(call('ZCARD', DELAYED) > 0 and jobs or {}) do
    if not known[job] and call('ZSCORE', DELAYED, lane .. job) then
      known[job] = true
      if delay == 0 and call('ZREM', DELAYED, lane .. job) == 1 then due[#due + 1] = job end
    end
  end
  local packed = call('HGET', LEASE, lane)
  local lease = packed and cmsgpack.unpack(packed) or {jobs = {}}
  local offered = {}
  for _, job in ipairs(packed and jobs or {}) do offered[job] = true end
  for _, job in ipairs(lease.jobs) do
    if offered[job] then
      known[job], lease.again = true, lease.again or {}
      lease.again[job] = true
    end
  end
  if lease.again then call('HSET', LEASE, lane, cmsgpack.pack(lease)) end
  for _, job in ipairs(jobs) do
    if not known[job] then known[job], fresh[#fresh + 1] = true, job end
  end
  if delay > 0 then
    for _, job in ipairs(fresh) do
      announce(time + delay, time, job:sub(1, 1))
      call('ZADD', DELAYED, time + delay, lane .. job)
    end
    delays(lane, fresh, 1)
  else
    delays(lane, due, -1)
    for _, jobs in ipairs({due, fresh}) do move('ZADD', lane, jobs) end
    place(lane)
  end
  return #fresh
end
for at = 4, #ARGV, 3 do
  local connection = ARGV[at]:sub(1, 10)
  depths[connection] = depths[connection]
    or (call('HGET', DEPTHS, connection) or 0) + (call('HGET', LATE, connection) or 0)
  if share > 0 and connection ~= '0000000000' and depths[connection] >= share then
    full[#full + 1] = connection
  else
    added = added + take_in(ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2])
  end
end
call('HINCRBY', COUNTERS, 'enqueued', added)
if #full > 0 then call('HINCRBY', COUNTERS, 'refused', 1) end
return {added, unpack(full)}
