-- The rules for jobs that wait. Needs lane.lua in front.

-- Adds jobs by lane, of which none is in WAITING ('ZADD'), or removes them, which all are ('ZREM').
local function move(change, moved)
  local members, all, depths, sign = {}, {}, {}, change == 'ZADD' and 1 or -1
  for lane, jobs in pairs(moved) do
    for _, job in ipairs(jobs) do
      if sign == 1 then members[#members + 1] = 0 end
      members[#members + 1] = lane:sub(12) .. job
      all[#all + 1] = job
    end
    local left = #jobs > 0 and call('HINCRBY', COUNTS, lane, sign * #jobs)
    if left == 0 then
      call('HDEL', COUNTS, lane)
      call('ZREM', LANES, lane)
    elseif left == #jobs then
      call('ZADD', LANES, 0, lane)
    end
    depths[lane:sub(1, 10)] = (depths[lane:sub(1, 10)] or 0) + sign * #jobs
  end
  if #all == 0 then return end
  call(change, WAITING, unpack(members))
  count('waiting:', all, sign, true)
  for connection, change in pairs(depths) do
    if call('HINCRBY', DEPTHS, connection, change) == 0 then call('HDEL', DEPTHS, connection) end
  end
end
-- Jobs came to lanes, by lane: lines up those where one is more urgent than what gave the lane its place, if it had one,
-- and opens their connections.
local function arrive(lanes, places, arrived)
  move('ZADD', arrived)
  local opened = {}
  for index, lane in ipairs(lanes) do
    local connection, placed, urgent = lane:sub(1, 10), (places[index] or '3'):sub(1, 1), false
    for _, job in ipairs(arrived[lane]) do urgent = urgent or job < placed end
    local class = urgent and line_up(lane)
    if class then opened[connection] = (opened[connection] or '') .. class end
  end
  for connection, classes in pairs(opened) do open(connection, classes) end
end
