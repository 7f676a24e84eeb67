-- Waiting jobs of a lane, by pages, in the order in which they are taken. Changes nothing.
-- KEYS: see shard.lua. ARGV: 1 lane, 2 the job after which to begin, or '', 3 limit
-- Returns the jobs in one string.
local number, jobs = ARGV[1]:sub(12), {}
local after = ARGV[2] == '' and '[' .. number or '(' .. number .. ARGV[2]
for index, member in ipairs(call('ZRANGEBYLEX', WAITING, after, '(' .. number .. ':', 'LIMIT', 0, tonumber(ARGV[3]))) do
  jobs[index] = member:sub(11)
end
return table.concat(jobs)
