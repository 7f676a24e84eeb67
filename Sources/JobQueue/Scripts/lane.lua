-- The rules for lanes: which may be taken, whose turn it is, and how jobs are counted. Needs shard.lua in front.
-- The order in a class is start-time fair queueing (Goyal, Vin, Cheng 1996), twice: connections among each other, and
-- the lanes of a connection. What comes new starts just after what was taken last, or where its own last batch ended: a
-- batch moves its connection and its lane on by 1000 a job of the class that was served, divided by their weights.
-- Nobody saves up turns by being idle.

local function rule(name, subject) return call('HGET', RULES, name .. subject) end
-- Where a lane or connection starts that did not wait: `ended` is the end of its last batch.
local function start(clock, ended) return math.max((call('HGET', VIRTUAL, clock) or -1) + 1, tonumber(ended or 0)) end
local function cost(number, subject) return math.ceil(number * 1000 / (rule('weight:', subject) or 1)) end
-- The first member that begins with these digits.
local function first(key, digits) return call('ZRANGEBYLEX', key, '[' .. digits, '(' .. digits .. ':', 'LIMIT', 0, 1)[1] end
-- By class: true if no lane of the connection may be taken, because it is parked, being tried, or has as many lanes in
-- work as it may. Revokes do not wait for the others' lanes: they may have as many again.
local function closed(connection)
  local phase = call('HGET', PHASE, connection)
  if phase and phase ~= 'half' then return {['0'] = true, ['1'] = true, ['2'] = true} end
  local cap = connection ~= '0000000000' and (rule('cap:', connection) or rule('cap:', '*'))
  if not cap then return {} end
  local work = tonumber(call('HGET', WORK, connection) or 0)
  local full = work >= tonumber(cap)
  return {['0'] = work >= 2 * cap, ['1'] = full, ['2'] = full}
end
-- Gives the connection its turn in each class in which it has ready lanes. `fresh`: the classes of new ready lanes.
local function open(connection, fresh)
  local shut = closed(connection)
  for class, key in pairs(TURNS) do
    if shut[class] or not first(READY, class .. connection) then
      call('ZREM', key, connection)
    elseif call('ZADD', key, 'NX', start(class, call('HGET', VIRTUAL, class .. connection)), connection) == 1
      or fresh and fresh:find(class, 1, true) then
      wake(class, 4)
    end
  end
end
-- Puts the lane among the ready of its highest waiting class, and returns that class if it was not there; or nowhere, if
-- it is leased, parked or paused. Whoever calls it opens the connection, once for all its lanes.
local function line_up(lane)
  local number, connection = lane:sub(12), lane:sub(1, 10)
  local head = first(WAITING, number)
  local held = head and (call('ZSCORE', LEASES, lane) or call('ZSCORE', PARKED, lane) or rule('pause:', lane))
  local highest, old = head and not held and head:sub(11, 11), call('HGET', PLACES, lane)
  if old and old:sub(1, 1) ~= highest then
    call('ZREM', READY, old)
    call('HDEL', PLACES, lane)
  end
  if highest and not (old and old:sub(1, 1) == highest) then
    local ended = call('HGET', VIRTUAL, highest .. lane)
    local time = start(highest .. ':' .. connection, ended)
    if ended and tonumber(ended) < time then call('HDEL', VIRTUAL, highest .. lane) end
    local member = highest .. connection .. ('%016.0f'):format(time) .. number
    call('ZADD', READY, 0, member)
    call('HSET', PLACES, lane, member)
    return highest
  end
end
local function place(lane) open(lane:sub(1, 10), line_up(lane)) end
