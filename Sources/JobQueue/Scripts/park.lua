-- Parks a connection or a lane: nothing of it is taken until the time has passed or it is woken. The latest word counts.
-- With a lease, its jobs wait again; if that lease is not current, nothing changes.
-- KEYS: see shard.lua. ARGV: 1 connection or lane, 2 ms; 3 lane, 4 epoch, 5 sequence of the lease to end, or nothing
-- Returns 1, or the error FENCED.
local subject, lease = ARGV[1], ARGV[3] and current(ARGV[3], ARGV[4], ARGV[5])
if ARGV[3] and not lease then return redis.error_reply('FENCED the lease is not current') end
local time = now()
relieve()
for class in pairs(TURNS) do announce(time + ARGV[2], time, class) end
call('ZADD', PARKED, time + ARGV[2], subject)
if #subject == 21 then
  place(subject)
else
  call('HSET', PHASE, subject, 'parked')
  open(subject)
end
if lease then
  call('HINCRBY', COUNTERS, 'returned', #lease.jobs)
  finish(ARGV[3], lease, lease.jobs, false)
end
return 1
