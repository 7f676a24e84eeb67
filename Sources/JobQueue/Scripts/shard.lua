-- The shard: the names of its keys, and its clock. Every transition but establish is run with shard.lua, tokens.lua,
-- lane.lua, waiting.lua and holding.lua in front of it, and is given all keys of the shard in this order.
-- A lane is 21 bytes: its connection (10 digits), a dot, its number (10 digits, its own among all connections).
-- A job is 17: class digit, number (15 digits), letter of its kind. So a lane's number .. job, as a member of an
-- ordered set, sorts by lane, then class, then age.
--
--  1 EPOCH    string  set while the shard has a memory; half of every fence
--  2 SEQUENCE string  the other half: counts leases
--  3 WAITING  zset    number of the lane .. job, score 0
--  4 LANES    zset    lanes with waiting jobs, score 0
--  5 COUNTS   hash    lane -> its waiting jobs
--  6 DEPTHS   hash    connection -> its waiting jobs
--  7 COUNTERS hash    name -> number: waiting:<class><kind>, leased:<kind>, delayed:<kind>, and totals
--  8 DELAYED  zset    lane .. job -> ms when it waits again
--  9 LEASE    hash    lane -> its lease
-- 10 LEASES   zset    lane -> ms when its lease expires
-- 11 WORK     hash    connection -> its leased lanes
-- 12 PHASE    hash    connection -> 'parked', 'half' (its next batch is a probe), or the lane that probes
-- 13 PARKED   zset    parked connection or lane -> ms when it may be tried
-- 14 RULES    hash    the operators' word: version, pause:<lane or *>, weight:<lane or connection>, cap:<connection or *>
-- 15 READY    zset    class .. connection .. virtual time (16 digits) .. number of a lane that may be taken, score 0
-- 16 PLACES   hash    lane -> its member in READY
-- 17 VIRTUAL  hash    virtual times: <class>, <class><connection>, <class>:<connection>, <class><lane>; see lane.lua
-- 18 SAMPLES  list    the totals of the last minute, newest first
-- 19 WORKERS  zset    worker -> ms of its last beat
-- 20 BEATS    hash    worker -> what it said of itself
-- 21 TURNS    zset    three, by class: connection with a lane that may be taken -> its virtual time
-- 24 WAKE     list    three, by class: tokens that wake a worker
-- 27 LATE     hash    connection -> its delayed jobs
local call = redis.call
local EPOCH, SEQUENCE, WAITING, LANES, COUNTS, DEPTHS, COUNTERS, DELAYED, LEASE, LEASES, WORK, PHASE, PARKED,
  RULES, READY, PLACES, VIRTUAL, SAMPLES, WORKERS, BEATS = unpack(KEYS, 1, 20)
local TURNS = {['0'] = KEYS[21], ['1'] = KEYS[22], ['2'] = KEYS[23]}
local WAKE = {['0'] = KEYS[24], ['1'] = KEYS[25], ['2'] = KEYS[26]}
local LATE = KEYS[27]
if not call('GET', EPOCH) then return redis.error_reply('EPOCHLOST the queue has no memory') end

-- Milliseconds, by the one clock that all agree on.
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- Above maxmemory Redis refuses a script whose first write may take memory, and lets others go on: what makes room in
-- the end begins with this.
local function relieve() call('ZREM', LEASES, '') end
-- Counts `jobs` under name .. class .. kind, or without the class, with this sign.
local function count(name, jobs, sign, first)
  local tally = {}
  for _, job in ipairs(jobs) do
    local label = (first and job:sub(1, 1) or '') .. job:sub(17, 17)
    tally[label] = (tally[label] or 0) + sign
  end
  for label, change in pairs(tally) do call('HINCRBY', COUNTERS, name .. label, change) end
end
-- Counts jobs of a lane that are put into DELAYED (1) or taken out of it (-1).
local function delays(lane, jobs, sign)
  local connection = lane:sub(1, 10)
  count('delayed:', jobs, sign)
  if #jobs > 0 and call('HINCRBY', LATE, connection, sign * #jobs) == 0 then call('HDEL', LATE, connection) end
end
