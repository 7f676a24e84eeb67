-- A worker says that it lives, and what it is. Those who have not for long are forgotten (10 a call).
-- KEYS: see shard.lua. ARGV: 1 worker, 2 what it says of itself, or '' as it leaves, 3 ms of silence after which a worker is forgotten
-- Returns 1.
local time = now()
call('ZADD', WORKERS, ARGV[2] == '' and '-inf' or time, ARGV[1])
call('HSET', BEATS, ARGV[1], ARGV[2])
for _, worker in ipairs(call('ZRANGEBYSCORE', WORKERS, '-inf', time - ARGV[3], 'LIMIT', 0, 10)) do
  call('ZREM', WORKERS, worker)
  call('HDEL', BEATS, worker)
end
return 1
