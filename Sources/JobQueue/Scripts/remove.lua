-- Takes out a job that nobody works on.
-- KEYS: see shard.lua. ARGV: 1 lane, 2 job
-- Returns 1, or 0 if it is leased or not here.
if call('ZREM', DELAYED, ARGV[1] .. ARGV[2]) == 1 then return 1 end
local removed = move('ZREM', ARGV[1], {ARGV[2]})
if removed == 1 then offer(ARGV[1]) end
return removed
