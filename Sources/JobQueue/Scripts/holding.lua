-- The rules for jobs that wait, leases and parked connections. Needs lane.lua in front.

-- Adds `jobs`, of which none is in WAITING ('ZADD'), or removes them, which all are ('ZREM').
local function move(change, lane, jobs)
  if #jobs == 0 then return end
  local members, connection, sign = {}, lane:sub(1, 10), change == 'ZADD' and 1 or -1
  for _, job in ipairs(jobs) do
    if sign == 1 then members[#members + 1] = 0 end
    members[#members + 1] = lane:sub(12) .. job
  end
  call(change, WAITING, unpack(members))
  count('waiting:', jobs, sign, true)
  if call('HINCRBY', DEPTHS, connection, sign * #jobs) == 0 then call('HDEL', DEPTHS, connection) end
  local left = call('HINCRBY', COUNTS, lane, sign * #jobs)
  if left == 0 then
    call('HDEL', COUNTS, lane)
    call('ZREM', LANES, lane)
  elseif left == #jobs then
    call('ZADD', LANES, 0, lane)
  end
end
-- The lane's lease, if it is the one with this fence.
local function current(lane, epoch, sequence)
  local packed = call('HGET', LEASE, lane)
  local lease = packed and cmsgpack.unpack(packed)
  if lease and lease.epoch == epoch and lease.sequence == tonumber(sequence) then return lease end
  relieve()
  call('HINCRBY', COUNTERS, 'stale', 1)
end
-- Ends a lease: `back` wait again. If it probed its connection, the rest follows when it went well, and else the next
-- lane may try.
local function finish(lane, lease, back, well)
  local connection = lane:sub(1, 10)
  call('HDEL', LEASE, lane)
  call('ZREM', LEASES, lane)
  if call('HINCRBY', WORK, connection, -1) == 0 then call('HDEL', WORK, connection) end
  count('leased:', lease.jobs, -1)
  move('ZADD', lane, back)
  if call('HGET', PHASE, connection) == lane then
    if well then call('HDEL', PHASE, connection) else call('HSET', PHASE, connection, 'half') end
  end
  place(lane)
end
-- A parked connection may be tried again, with one batch first; a parked lane may be taken.
local function unpark(subject)
  call('ZREM', PARKED, subject)
  if #subject == 21 then return place(subject) end
  call('HSET', PHASE, subject, 'half')
  open(subject)
end
