-- Leases one lane whole, with up to `limit` of its jobs, to one worker; before that it does what has become due. The
-- lane is the first in turn (see lane.lua) of the highest class; of every eight calls one serves the lowest class first
-- and one the middle class, and an eighth of each batch is the lowest class's share.
-- KEYS: see shard.lua. ARGV: 1 worker, 2 limit, 3 lease in ms, 4 class digits that the worker takes, ascending
-- Returns {lane, epoch, sequence, 1 if it probes its connection, its jobs in one string}, or {ms until something is due
-- or -1}.
local limit, time, classes = tonumber(ARGV[2]), now(), ARGV[4]
catch_up(time)
sample(time)
local calls, order = call('HINCRBY', COUNTERS, 'leases', 1) % 8, classes
if calls == 0 then order = classes:reverse() elseif calls == 4 and #classes == 3 then order = '102' end
local paused, connection, class, turn = rule('pause:', '*')
for digit in order:gmatch('.') do
  local head = not connection and not paused and call('ZRANGE', TURNS[digit], 0, 0, 'WITHSCORES')
  if head and head[1] then connection, class, turn = head[1], digit, tonumber(head[2]) end
end
if not connection then return {paused and -1 or next_due(time)} end

local member = first(READY, class .. connection)
local number, jobs = member:sub(28), {}
local lane = connection .. '.' .. number
local function take(digit, most)
  if #jobs >= most then return end
  local prefix, taken = number .. digit, {}
  local members = call('ZRANGEBYLEX', WAITING, '[' .. prefix, '(' .. prefix .. ':', 'LIMIT', 0, most - #jobs)
  for index, member in ipairs(members) do
    taken[index] = member:sub(11)
    jobs[#jobs + 1] = taken[index]
  end
  move('ZREM', lane, taken)
end
for digit in classes:gmatch('.') do take(digit, limit - math.floor(limit / 8)) end
for digit in classes:reverse():gmatch('.') do take(digit, limit) end
table.sort(jobs)

local epoch, sequence, began = call('GET', EPOCH), call('INCR', SEQUENCE), tonumber(member:sub(12, 27))
call('HSET', LEASE, lane, cmsgpack.pack({epoch = epoch, sequence = sequence, worker = ARGV[1], jobs = jobs, since = time,
  class = class, ended = began + cost(jobs, lane)}))
call('ZADD', LEASES, time + ARGV[3], lane)
call('HINCRBY', WORK, connection, 1)
count('leased:', jobs, 1)
call('HINCRBY', COUNTERS, 'started', #jobs)
call('HSET', VIRTUAL, class, turn, class .. connection, turn + cost(jobs, connection), class .. ':' .. connection, began)
local half = call('HGET', PHASE, connection) == 'half'
if half then call('HSET', PHASE, connection, lane) end
call('ZREM', TURNS[class], connection)
quiet = true -- the connection's other lanes were ready before, and are announced below
place(lane)
quiet = false
for digit in classes:gmatch('.') do if call('ZCARD', TURNS[digit]) > 0 then wake(digit, 1) break end end
return {lane, epoch, sequence, half and 1 or 0, table.concat(jobs)}
