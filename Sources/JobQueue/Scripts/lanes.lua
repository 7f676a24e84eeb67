-- Lanes with waiting jobs, by pages, in order. Changes nothing.
-- KEYS: see shard.lua. ARGV: 1 the lane after which to begin, or '', 2 limit
-- Returns {lane, waiting, worker that has it or '', ms until it is tried if it is parked or -1, 1 if it is paused, ...}.
local time, rows = now(), {}
local after = ARGV[1] == '' and '-' or '(' .. ARGV[1]
for _, lane in ipairs(call('ZRANGEBYLEX', LANES, after, '+', 'LIMIT', 0, tonumber(ARGV[2]))) do
  local packed, till = call('HGET', LEASE, lane), call('ZSCORE', PARKED, lane)
  for _, value in ipairs({lane, tonumber(call('HGET', COUNTS, lane)), packed and cmsgpack.unpack(packed).worker or '',
    till and math.max(till - time, 0) or -1, rule('pause:', lane) and 1 or 0}) do rows[#rows + 1] = value end
end
return rows
