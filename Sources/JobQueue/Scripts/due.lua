-- What time brings about, done by whoever leases next. Needs holding.lua in front.

-- Expired leases end (10 a call), delayed jobs wait again (100), parked connections and lanes may be tried (10).
local function catch_up(time)
  for _, lane in ipairs(call('ZRANGEBYSCORE', LEASES, '-inf', time, 'LIMIT', 0, 10)) do
    local packed = call('HGET', LEASE, lane)
    if packed then
      local lease = cmsgpack.unpack(packed)
      call('HINCRBY', COUNTERS, 'reaped', #lease.jobs)
      finish(lane, lease, lease.jobs, false)
    else -- no script leaves that behind; but whatever did must not stop the whole queue
      call('ZREM', LEASES, lane)
      call('HINCRBY', COUNTERS, 'orphans', 1)
      place(lane)
    end
  end
  local touched = {}
  for _, member in ipairs(call('ZRANGEBYSCORE', DELAYED, '-inf', time, 'LIMIT', 0, 100)) do
    local lane = member:sub(1, 21)
    call('ZREM', DELAYED, member)
    touched[lane] = touched[lane] or {}
    table.insert(touched[lane], member:sub(22))
  end
  for lane, jobs in pairs(touched) do
    delays(lane, jobs, -1)
    move('ZADD', {[lane] = jobs})
    place(lane)
  end
  for _, subject in ipairs(call('ZRANGEBYSCORE', PARKED, '-inf', time, 'LIMIT', 0, 10)) do unpark(subject) end
end
-- Milliseconds until any of that is next due, or -1.
local function until_due(time)
  local due = next_due()
  return due == math.huge and -1 or math.max(due - time, 0)
end
-- Notes the totals every ten seconds and keeps a minute of them, for rates.
local function sample(time)
  local last = call('LINDEX', SAMPLES, 0)
  if last and time - cmsgpack.unpack(last)[1] < 10000 then return end
  local totals = call('HMGET', COUNTERS, 'enqueued', 'started', 'completed', 'discarded', 'cancelled')
  call('LPUSH', SAMPLES, cmsgpack.pack({time, unpack(totals)}))
  call('LTRIM', SAMPLES, 0, 6)
end
