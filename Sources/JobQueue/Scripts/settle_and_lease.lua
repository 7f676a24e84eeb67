-- Ends a lease and takes the next one, in one step: the lane that was settled may be taken again at once. Needs the bodies
-- of settle.lua and lease.lua as functions in front.
-- KEYS: see shard.lua. ARGV: 1-4 as of lease.lua, from 5 on those of settle.lua
-- Returns what lease.lua returns; or the error FENCED, and nothing is taken.
quiet = true
local outcome = settle({unpack(ARGV, 5)})
quiet, expected, told = false, nil, {}
return outcome == 1 and lease({unpack(ARGV, 1, 4)}) or outcome
