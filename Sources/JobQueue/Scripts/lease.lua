-- Leases one lane whole, with a batch of its jobs, to one worker; before that it does what has become due.
-- Whose turn it is: the highest class that waits comes first; of every eight leases by workers of the same classes one
-- begins with the lowest class, and one with the middle one. In a class the order is that of lane.lua.
-- What a batch takes: up to `limit` jobs of the class that is served, the highest that waits in the lane; but a
-- sixteenth of the batch, and at least one job even if the limit is less than three, is each lower class's share. More
-- of a lower class only fills the batch if no other lane waits for its turn in that class or in one above it.
-- KEYS: see shard.lua. ARGV: 1 worker, 2 limit, 3 lease in ms, 4 class digits that the worker takes, ascending
-- Returns {lane, epoch, sequence, 1 if it probes its connection, its jobs in one string, ms until there may be another
-- lease or -1}, or only the last of them.
local limit, time, classes = tonumber(ARGV[2]), now(), ARGV[4]
relieve()
catch_up(time)
sample(time)
call('HINCRBY', COUNTERS, 'leases', 1)
local turns, order = ((call('HGET', COUNTERS, 'leases:' .. classes) or 0) + 1) % 8, classes
if turns == 0 then order = classes:reverse() elseif turns == 4 and #classes == 3 then order = '102' end
local paused, connection, class, turn = rule('pause:', '*')
for digit in order:gmatch('.') do
  local head = not connection and not paused and call('ZRANGE', TURNS[digit], 0, 0, 'WITHSCORES')
  if head and head[1] then connection, class, turn = head[1], digit, tonumber(head[2]) end
end
if not connection then return {paused and -1 or until_due(time)} end

local member = first(READY, class .. connection)
local number, began, jobs, taken = member:sub(28), tonumber(member:sub(12, 27)), {}, {['0'] = 0, ['1'] = 0, ['2'] = 0}
local lane, lower, share = connection .. '.' .. number, classes:match(class .. '(.*)'), math.ceil(limit / 16)
local half = call('HGET', PHASE, connection) == 'half'
if half then call('HSET', PHASE, connection, lane) end
announce(time + ARGV[3], time, class)
call('ZADD', LEASES, time + ARGV[3], lane)
call('HINCRBY', WORK, connection, 1)
place(lane) -- out of the ready lanes: from here on, who has a turn is another lane
local function take(digit, most)
  if most <= 0 then return end
  local prefix = number .. digit
  local found = call('ZRANGEBYLEX', WAITING, '[' .. prefix, '(' .. prefix .. ':', 'LIMIT', taken[digit], most)
  for _, member in ipairs(found) do jobs[#jobs + 1] = member:sub(11) end
  taken[digit] = taken[digit] + #found
end
take(class, math.max(limit - share * #lower, 1))
for digit in lower:gmatch('.') do take(digit, share) end
if lower ~= '' then take(class, limit - #jobs) end
local others = #jobs < limit and 0 or 1
for digit in classes:gmatch('.') do
  others = others == 0 and call('ZCARD', TURNS[digit]) or others
  if others == 0 and digit > class then take(digit, limit - #jobs) end
end
move('ZREM', {[lane] = jobs})
table.sort(jobs)

local epoch, sequence, ended = call('GET', EPOCH), call('INCR', SEQUENCE), turn + cost(taken[class], connection)
call('HSET', LEASE, lane, cmsgpack.pack({epoch = epoch, sequence = sequence, worker = ARGV[1], jobs = jobs, since = time}))
count('leased:', jobs, 1)
call('HINCRBY', COUNTERS, 'started', #jobs)
call('HINCRBY', COUNTERS, 'leases:' .. classes, 1)
call('HSET', VIRTUAL, class, turn, class .. connection, ended, class .. ':' .. connection, began,
  class .. lane, began + cost(taken[class], lane))
call('ZADD', TURNS[class], 'XX', ended, connection)
local more = false
for digit in classes:gmatch('.') do
  more = more or call('ZCARD', TURNS[digit]) > 0
  if more then wake(digit, 1) break end
end
return {lane, epoch, sequence, half and 1 or 0, table.concat(jobs), more and 0 or until_due(time)}
