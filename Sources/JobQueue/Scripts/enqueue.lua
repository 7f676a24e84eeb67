-- Takes in jobs; a job that is already here (waiting, delayed or leased) is left where it is, but a delayed one that is
-- offered without a delay waits from now on. A leased one is noted: if it settles for good it waits once more, because
-- it may have been made available again after that was decided.
-- KEYS: see shard.lua. ARGV: 1 the epoch that the caller knows, 2 most jobs that may wait or be delayed before this call
-- is refused (0: any number), 3 most of one connection before this call, or its groups are passed over, all of them,
-- because whoever offers a part again and again would get no further (0: any number), then groups of: lane, delay in ms
-- (0: none), its jobs in one string
-- Returns how many jobs were new, then the connections that were passed over; or the error EPOCHLOST if this is another
-- epoch's memory, or FULL.
local time, most, share, added, depths, full, groups = now(), tonumber(ARGV[2]), tonumber(ARGV[3]), 0, {}, {}, {}
if call('GET', EPOCH) ~= ARGV[1] then return redis.error_reply('EPOCHLOST the queue is of another epoch') end
if most > 0 and call('ZCARD', WAITING) + call('ZCARD', DELAYED) >= most then
  call('HINCRBY', COUNTERS, 'refused', 1)
  return redis.error_reply('FULL as many jobs wait as may')
end
-- Takes in groups of the same delay. What is known of their jobs and lanes is asked for at once: with many lanes, asking
-- for each would be most of the work.
local function take_in(groups, delay)
  local lanes, waits, late, known, arrived, at = {}, {}, {}, {}, {}, 0
  for index, group in ipairs(groups) do
    lanes[index] = group.lane
    for _, job in ipairs(group.jobs) do
      waits[#waits + 1], late[#late + 1] = group.lane:sub(12) .. job, group.lane .. job
    end
  end
  waits = call('ZMSCORE', WAITING, unpack(waits))
  late = call('ZCARD', DELAYED) > 0 and call('ZMSCORE', DELAYED, unpack(late)) or {}
  local leases, places = call('HMGET', LEASE, unpack(lanes)), call('HMGET', PLACES, unpack(lanes))
  for index, lane in ipairs(lanes) do
    local leased, jobs, changed = offer_again(lane, leases[index], groups[index].jobs), {}, {}
    for _, job in ipairs(groups[index].jobs) do
      at = at + 1
      local fresh = not (leased[job] or late[at] or waits[at] or known[job])
      if fresh and delay > 0 then
        announce(time + delay, time, job:sub(1, 1))
        call('ZADD', DELAYED, time + delay, lane .. job)
        changed[#changed + 1] = job
      elseif fresh or late[at] and delay == 0 and call('ZREM', DELAYED, lane .. job) == 1 then
        jobs[#jobs + 1] = job
        if late[at] then changed[#changed + 1] = job end
      end
      if fresh then known[job], added = true, added + 1 end
    end
    delays(lane, changed, delay > 0 and 1 or -1)
    arrived[lane] = jobs
  end
  arrive(lanes, places, arrived)
end
for at = 4, #ARGV, 3 do
  local lane, delay, connection, jobs = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at]:sub(1, 10), {}
  for first = 1, #ARGV[at + 2], 17 do jobs[#jobs + 1] = ARGV[at + 2]:sub(first, first + 16) end
  depths[connection] = depths[connection]
    or (call('HGET', DEPTHS, connection) or 0) + (call('HGET', LATE, connection) or 0)
  if share > 0 and connection ~= '0000000000' and depths[connection] >= share then
    full[#full + 1] = connection
  elseif delay > 0 then
    take_in({{lane = lane, jobs = jobs}}, delay)
  else
    groups[#groups + 1] = {lane = lane, jobs = jobs}
  end
end
if #groups > 0 then take_in(groups, 0) end
call('HINCRBY', COUNTERS, 'enqueued', added)
if #full > 0 then call('HINCRBY', COUNTERS, 'refused', 1) end
return {added, unpack(full)}
