-- The rules for leases and parked connections: what is current, and how each of them ends. Needs lane.lua in front.

-- The lane's lease, if it is the one with this fence.
local function current(lane, epoch, sequence)
  local packed = call('HGET', LEASE, lane)
  local lease = packed and cmsgpack.unpack(packed)
  if lease and lease.epoch == epoch and lease.sequence == tonumber(sequence) then return lease end
  call('HINCRBY', COUNTERS, 'stale', 1)
end
-- Ends a lease: `back` wait again. If it probed its connection, the rest follows when it went well, and else the next
-- lane may try.
local function finish(lane, lease, back, well)
  local connection = lane:sub(1, 10)
  call('HDEL', LEASE, lane)
  call('ZREM', LEASES, lane)
  call('HINCRBY', COUNTERS, 'leased', -#lease.jobs)
  move('ZADD', lane, back)
  if call('HGET', PHASE, connection) == lane then
    if well then call('HDEL', PHASE, connection) else call('HSET', PHASE, connection, 'half') end
    offer_all(connection)
  end
  offer(lane, lease.class, lease.earned)
end
-- A parked connection may be tried again: all its lanes are ready, and the first that is taken is the probe.
local function half_open(connection)
  call('ZREM', PARKED, connection)
  call('HSET', PHASE, connection, 'half')
  offer_all(connection)
end
