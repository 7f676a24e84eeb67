-- The rules for lanes: when one may be taken, and how its jobs are counted. Needs shard.lua in front.

-- True if nobody may take the lane: it is leased, paused, parked, or another lane probes its connection.
local function held(lane)
  local phase = call('HGET', PHASE, lane:sub(1, 10))
  return (phase and phase ~= 'half') or call('ZSCORE', LEASES, lane) or call('SISMEMBER', PAUSED, lane) == 1
end
-- One token wakes one worker; a few are enough, because a lease that leaves work behind adds the next.
local function wake(class, most)
  if not quiet and call('LLEN', WAKE[class]) < most then call('LPUSH', WAKE[class], 1) end
end
-- Puts the lane where it belongs: among the ready of its highest waiting class, or nowhere. Its virtual time is what
-- it has earned in that class, but not before those who waited: nobody saves up turns by being idle.
local function offer(lane, class, earned)
  local head = call('ZRANGEBYLEX', WAITING, '[' .. lane, '(' .. lane .. ':', 'LIMIT', 0, 1)[1]
  local highest = head and not held(lane) and head:sub(22, 22)
  for other, key in pairs(READY) do if other ~= highest then call('ZREM', key, lane) end end
  if not highest then return end
  local time = math.max((call('HGET', VIRTUAL, highest) or 0) + 1, class == highest and earned or 0)
  if call('ZADD', READY[highest], 'NX', time, lane) == 1 then wake(highest, 4) end
end
local function offer_all(connection)
  local lanes = call('ZRANGEBYLEX', LANES, '[' .. connection .. '.', '(' .. connection .. '/')
  for _, lane in ipairs(lanes) do offer(lane) end
end
-- Counts `jobs` in or out; `change` is 'ZADD' or 'ZREM'. Returns how many were really added or removed.
local function move(change, lane, jobs)
  local sorted, total, sign = {}, 0, change == 'ZADD' and 1 or -1
  for _, job in ipairs(jobs) do
    local class = job:sub(1, 1)
    local list = sorted[class] or {}
    if sign == 1 then list[#list + 1] = 0 end
    list[#list + 1] = lane .. job
    sorted[class] = list
  end
  for class, list in pairs(sorted) do
    local moved = call(change, WAITING, unpack(list))
    if moved > 0 then call('HINCRBY', COUNTERS, 'waiting:' .. class, sign * moved) end -- Lua's -0 is no integer
    total = total + moved
  end
  local left = total > 0 and call('HINCRBY', COUNTS, lane, sign * total)
  if left == 0 then
    call('HDEL', COUNTS, lane)
    call('ZREM', LANES, lane)
  elseif left == total then
    call('ZADD', LANES, 0, lane)
  end
  return total
end
