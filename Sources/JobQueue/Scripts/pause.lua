-- Pauses or resumes one lane or the whole queue: what is leased goes on, nothing more is taken.
-- KEYS: see shard.lua. ARGV: 1 lane, or '*' for the queue; 2 '1' to pause, '0' to resume
-- Returns 1 if that changed anything.
local changed = call(ARGV[2] == '1' and 'SADD' or 'SREM', PAUSED, ARGV[1])
if ARGV[1] ~= '*' then
  offer(ARGV[1])
elseif ARGV[2] == '0' then
  for class, key in pairs(READY) do if call('ZCARD', key) > 0 then wake(class, 1) end end
end
return changed
