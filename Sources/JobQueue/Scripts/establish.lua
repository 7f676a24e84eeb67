-- Gives the shard an epoch. Whatever an older epoch left is stale and goes, but not what workers say of themselves.
-- KEYS: all keys of the shard, as in shard.lua. ARGV: 1 epoch, a decimal integer
-- Returns 1 if the shard has this epoch now, 0 if it has a higher one.
local current, kept = tonumber(redis.call('GET', KEYS[1]) or -1), {[19] = true, [20] = true}
local epoch = tonumber(ARGV[1])
if current >= epoch then return current == epoch and 1 or 0 end
for index, key in ipairs(KEYS) do
  if not kept[index] then redis.call('UNLINK', key) end
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
