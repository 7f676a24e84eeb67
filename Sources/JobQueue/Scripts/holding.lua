-- The rules for leases and parked connections. Needs waiting.lua in front.

-- The lane's lease, if it is the one with this fence.
local function current(lane, epoch, sequence)
  local packed = call('HGET', LEASE, lane)
  local lease = packed and cmsgpack.unpack(packed)
  if lease and lease.epoch == epoch and lease.sequence == tonumber(sequence) then return lease end
  relieve()
  call('HINCRBY', COUNTERS, 'stale', 1)
end
-- Notes in a lane's lease which of these jobs it has, and returns them: they wait once more when it ends.
local function offer_again(lane, packed, jobs)
  local lease, leased = packed and cmsgpack.unpack(packed) or {jobs = {}}, {}
  for _, job in ipairs(lease.jobs) do leased[job] = true end
  for _, job in ipairs(jobs) do
    if leased[job] then
      lease.again = lease.again or {}
      lease.again[job] = true
    end
  end
  if lease.again then call('HSET', LEASE, lane, cmsgpack.pack(lease)) end
  return leased
end
-- Ends a lease: `back` wait again. If it probed its connection, the rest follows when it went well, and else the next
-- lane may try.
local function finish(lane, lease, back, well)
  local connection = lane:sub(1, 10)
  call('HDEL', LEASE, lane)
  call('ZREM', LEASES, lane)
  if call('HINCRBY', WORK, connection, -1) == 0 then call('HDEL', WORK, connection) end
  count('leased:', lease.jobs, -1)
  move('ZADD', {[lane] = back})
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
