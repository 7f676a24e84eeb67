-- Leases one lane whole, with up to `limit` of its jobs, to one worker. First it does what has become due: expired
-- leases end (10 a call), delayed jobs wait again (100), parked connections may be tried (10). The lane is the one with
-- the least virtual time in the highest class, every 8th call in the lowest; an eighth of the batch is the lowest
-- class's share.
-- KEYS: see shard.lua. ARGV: 1 worker, 2 limit, 3 lease in ms, 4 class digits that the worker takes, ascending
-- Returns {lane, epoch, sequence, 1 if it probes its connection, its jobs in one string}, or {ms until something is due
-- or -1}.
local limit, time, classes = tonumber(ARGV[2]), now(), ARGV[4]
for _, lane in ipairs(call('ZRANGEBYSCORE', LEASES, '-inf', time, 'LIMIT', 0, 10)) do
  local lease = cmsgpack.unpack(call('HGET', LEASE, lane))
  call('HINCRBY', COUNTERS, 'reaped', #lease.jobs)
  finish(lane, lease, lease.jobs, false)
end
local touched = {}
for _, member in ipairs(call('ZRANGEBYSCORE', DELAYED, '-inf', time, 'LIMIT', 0, 100)) do
  local lane = member:sub(1, 21)
  call('ZREM', DELAYED, member)
  touched[lane] = touched[lane] or {}
  table.insert(touched[lane], member:sub(22))
end
for lane, jobs in pairs(touched) do move('ZADD', lane, jobs) offer(lane) end
for _, connection in ipairs(call('ZRANGEBYSCORE', PARKED, '-inf', time, 'LIMIT', 0, 10)) do half_open(connection) end

local order = call('HINCRBY', COUNTERS, 'leases', 1) % 8 == 0 and classes:reverse() or classes
local paused, lane, class, turn = call('SISMEMBER', PAUSED, '*') == 1
for digit in order:gmatch('.') do
  local first = not lane and not paused and call('ZRANGE', READY[digit], 0, 0, 'WITHSCORES')
  if first and first[1] then lane, class, turn = first[1], digit, tonumber(first[2]) end
end
if not lane then
  local due = math.huge
  for _, key in ipairs({LEASES, DELAYED, PARKED}) do
    due = math.min(due, tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or math.huge))
  end
  return {(paused or due == math.huge) and -1 or math.max(due - time, 0)}
end
local jobs = {}
local function take(digit, most)
  if #jobs >= most then return end
  local prefix, first = lane .. digit, #jobs + 1
  local members = call('ZRANGEBYLEX', WAITING, '[' .. prefix, '(' .. prefix .. ':', 'LIMIT', 0, most - #jobs)
  for _, member in ipairs(members) do jobs[#jobs + 1] = member:sub(22) end
  move('ZREM', lane, {unpack(jobs, first)})
end
for digit in classes:gmatch('.') do take(digit, limit - math.floor(limit / 8)) end
for digit in classes:reverse():gmatch('.') do take(digit, limit) end
table.sort(jobs)
local epoch, sequence, connection = call('GET', EPOCH), call('INCR', SEQUENCE), lane:sub(1, 10)
local half = call('HGET', PHASE, connection) == 'half'
call('HSET', LEASE, lane, cmsgpack.pack({
  epoch = epoch, sequence = sequence, worker = ARGV[1], jobs = jobs, class = class, earned = turn + #jobs}))
call('ZADD', LEASES, time + ARGV[3], lane)
call('HINCRBY', COUNTERS, 'leased', #jobs)
call('HSET', VIRTUAL, class, math.max(turn, call('HGET', VIRTUAL, class) or 0))
call('ZREM', READY[class], lane)
if half then call('HSET', PHASE, connection, lane) offer_all(connection) end
for digit in classes:gmatch('.') do if call('ZCARD', READY[digit]) > 0 then wake(digit, 1) break end end
return {lane, epoch, sequence, half and 1 or 0, table.concat(jobs)}
