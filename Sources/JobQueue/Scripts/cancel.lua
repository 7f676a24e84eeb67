-- Takes out a job that nobody works on.
-- KEYS: see shard.lua. ARGV: 1 lane, 2 job
-- Returns 1, or 0 if it is leased or not here.
if call('ZREM', DELAYED, ARGV[1] .. ARGV[2]) == 1 then
  delays(ARGV[1], {ARGV[2]}, -1)
  return 1
end
if not call('ZSCORE', WAITING, ARGV[1]:sub(12) .. ARGV[2]) then return 0 end
move('ZREM', {[ARGV[1]] = {ARGV[2]}})
place(ARGV[1])
return 1
