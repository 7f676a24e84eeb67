-- Half-opens a parked connection: its lanes may be tried, one batch first.
-- KEYS: see shard.lua. ARGV: 1 connection
-- Returns 1, or 0 if it is not parked or already being tried.
if call('HGET', PHASE, ARGV[1]) ~= 'parked' then return 0 end
half_open(ARGV[1])
return 1
