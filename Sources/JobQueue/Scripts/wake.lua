-- Ends the parking of a lane, or half-opens a parked connection: its lanes may be tried, one batch first.
-- KEYS: see shard.lua. ARGV: 1 connection or lane
-- Returns 1, or 0 if it is not parked or already being tried.
if not call('ZSCORE', PARKED, ARGV[1]) then return 0 end
unpark(ARGV[1])
return 1
