-- Replaces the rules by a newer version: what is paused, the weights, and how many lanes of a connection may be in
-- work. What is leased goes on.
-- KEYS: see shard.lua. ARGV: 1 version, then pairs of a field of RULES and its value
-- Returns 1, or 0 if the shard has this version or a newer one.
if tonumber(rule('version', '') or -1) >= tonumber(ARGV[1]) then return 0 end
local lanes, connections = {}, {}
local function touch(field)
  local lane, connection = field:match('^pause:(%d+%.%d+)$'), field:match('^cap:(%d+)$')
  if lane then lanes[lane] = true end
  if connection then connections[connection] = true end
end
for _, field in ipairs(call('HKEYS', RULES)) do touch(field) end
call('DEL', RULES)
call('HSET', RULES, 'version', ARGV[1])
for index = 2, #ARGV, 2 do
  call('HSET', RULES, ARGV[index], ARGV[index + 1])
  touch(ARGV[index])
end
-- The cap for all may have changed too: it matters to those that have lanes in work.
for _, connection in ipairs(call('HKEYS', WORK)) do connections[connection] = true end
for connection in pairs(connections) do open(connection) end
for lane in pairs(lanes) do place(lane) end
if not rule('pause:', '*') then
  for class, key in pairs(TURNS) do if call('ZCARD', key) > 0 then wake(class, 1) end end
end
return 1
