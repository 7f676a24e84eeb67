-- Moves the end of a current lease to `ttl` from now.
-- KEYS: see shard.lua. ARGV: 1 lane, 2 epoch, 3 sequence, 4 ttl in ms
-- Returns 1, or 0 if the lease is not current.
if not current(ARGV[1], ARGV[2], ARGV[3]) then return 0 end
relieve()
call('ZADD', LEASES, now() + ARGV[4], ARGV[1])
return 1
