-- Ends a lease with the outcome of its jobs: completed, discarded and cancelled ones leave, a number of ms delays,
-- all others wait again. A lease that is not current changes nothing.
-- KEYS: see shard.lua. ARGV: 1 lane, 2 epoch, 3 sequence, 4 outcome of the jobs that are not named; then pairs of job
-- number and outcome
-- Returns 1, or the error FENCED.
local lane, time, tally, back, late, members, outcomes, well = ARGV[1], now(), {}, {}, {}, {}, {}, false
local lease = current(lane, ARGV[2], ARGV[3])
if not lease then return redis.error_reply('FENCED the lease is not current') end
for index = 5, #ARGV, 2 do outcomes[ARGV[index]] = ARGV[index + 1] end
local named = #ARGV > 4
for _, job in ipairs(lease.jobs) do
  local outcome = named and outcomes[job:sub(2, 16)] or ARGV[4]
  local delay = tonumber(outcome)
  if delay then
    announce(time + delay, time, job:sub(1, 1))
    late[#late + 1] = job
    members[#members + 1] = time + delay
    members[#members + 1] = lane .. job
    outcome = 'retried'
  elseif outcome == 'returned' or (lease.again and lease.again[job]) then
    back[#back + 1] = job
  end
  well = well or outcome ~= 'returned' -- whoever says what became of a job was let in by the instance
  tally[outcome] = (tally[outcome] or 0) + 1
end
finish(lane, lease, back, well) -- first, because it makes room: see relieve
for outcome, number in pairs(tally) do call('HINCRBY', COUNTERS, outcome, number) end
if #late > 0 then call('ZADD', DELAYED, unpack(members)) end
delays(lane, late, 1)
return 1
