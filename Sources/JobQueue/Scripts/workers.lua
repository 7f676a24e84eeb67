-- The workers that have said that they live, the latest first. Changes nothing.
-- KEYS: see shard.lua. ARGV: 1 limit
-- Returns {worker, ms since its last beat, what it said of itself, ...}.
local time, rows = now(), {}
for _, worker in ipairs(call('ZREVRANGE', WORKERS, 0, ARGV[1] - 1)) do
  rows[#rows + 1] = worker
  rows[#rows + 1] = math.max(time - call('ZSCORE', WORKERS, worker), 0)
  rows[#rows + 1] = call('HGET', BEATS, worker) or ''
end
return rows
