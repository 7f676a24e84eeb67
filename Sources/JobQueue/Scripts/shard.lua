-- The shard: the names of its keys, and its clock. Every transition but establish is run with shard.lua, lane.lua and
-- holding.lua in front of it, and is given all keys of the shard in this order.
-- A lane is 21 bytes (connection.lane), a job 16 (class digit and number), and lane .. job, as a member of an ordered
-- set, sorts by lane, then class, then age. A connection is the first 10 bytes of a lane.
--
--  1 EPOCH    string  set while the shard has a memory; half of every fence
--  2 SEQUENCE string  the other half: counts leases
--  3 CLOCK    string  ms that stand for the server's clock; only tests write it
--  4 WAITING  zset    lane .. job, score 0
--  5 LANES    zset    lanes with waiting jobs, score 0
--  6 COUNTS   hash    lane -> its waiting jobs
--  7 COUNTERS hash    name -> number: waiting:<class>, leased, leases, and jobs by what became of them
--  8 DELAYED  zset    lane .. job -> ms when it waits again
--  9 LEASE    hash    lane -> its lease
-- 10 LEASES   zset    lane -> ms when its lease expires
-- 11 VIRTUAL  hash    class -> virtual time of the lane that was taken last
-- 12 PHASE    hash    connection -> 'parked', 'half' (its next batch is a probe), or the lane that probes
-- 13 PARKED   zset    parked connection -> ms when it may be tried
-- 14 PAUSED   set     paused lanes, and '*' for the whole queue
-- 15 READY    zset    three, by class: lane that may be taken -> its virtual time
-- 18 WAKE     list    three, by class: tokens that wake a worker
local call = redis.call
local EPOCH, SEQUENCE, CLOCK, WAITING, LANES, COUNTS, COUNTERS, DELAYED, LEASE, LEASES, VIRTUAL, PHASE, PARKED, PAUSED
  = unpack(KEYS, 1, 14)
local READY = {['0'] = KEYS[15], ['1'] = KEYS[16], ['2'] = KEYS[17]}
local WAKE = {['0'] = KEYS[18], ['1'] = KEYS[19], ['2'] = KEYS[20]}
local quiet = false -- true: whoever calls takes the next lane itself, nobody needs to be woken
if not call('GET', EPOCH) then return redis.error_reply('EPOCHLOST the queue has no memory') end

-- Milliseconds, by the one clock that all agree on.
local function now()
  local fixed, time = call('GET', CLOCK), call('TIME')
  return fixed and tonumber(fixed) or time[1] * 1000 + math.floor(time[2] / 1000)
end
