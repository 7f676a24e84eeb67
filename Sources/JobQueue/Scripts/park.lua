-- Parks a connection: none of its lanes can be taken until the time has passed or it is woken. The latest word counts.
-- With a lease, its jobs wait again; if that lease is not current, nothing changes.
-- KEYS: see shard.lua. ARGV: 1 connection, 2 ms; 3 lane, 4 epoch, 5 sequence of the lease to end, or nothing
-- Returns 1, or the error FENCED.
local lease = ARGV[3] and current(ARGV[3], ARGV[4], ARGV[5])
if ARGV[3] and not lease then return redis.error_reply('FENCED the lease is not current') end
call('HSET', PHASE, ARGV[1], 'parked')
call('ZADD', PARKED, now() + ARGV[2], ARGV[1])
offer_all(ARGV[1])
if lease then
  call('HINCRBY', COUNTERS, 'returned', #lease.jobs)
  finish(ARGV[3], lease, lease.jobs, false)
end
return 1
