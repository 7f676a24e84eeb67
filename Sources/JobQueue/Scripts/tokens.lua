-- The tokens that wake workers who wait. Needs shard.lua in front.

local function push(class, most)
  if call('LLEN', WAKE[class]) < most then call('LPUSH', WAKE[class], 1) end
end
-- Says that there is work. One token wakes one worker; a few are enough, because a lease that leaves work behind adds
-- the next. With `quiet` whoever calls takes the next lane itself.
local quiet = false
local function wake(class, most) if not quiet then push(class, most) end end
-- When something is next due: the first lease that expires, delayed job, or parked connection or lane.
local function next_due()
  local due = math.huge
  for _, key in ipairs({LEASES, DELAYED, PARKED}) do
    due = math.min(due, tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or math.huge))
  end
  return due
end
-- Says that something for this class is about to be due. Workers who wait were told when to look again, and do so every
-- five seconds in any case; if this comes before anything else that is due, one of them is woken and told anew.
local expected, told = nil, {}
local function announce(due, time, class)
  if told[class] or due >= time + 5000 then return end
  expected = expected or next_due()
  if due >= expected then return end
  told[class] = true
  push(class, 1)
end
