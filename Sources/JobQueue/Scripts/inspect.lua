-- Checks the rules of the shard on a page of lanes, each at one instant. Changes nothing; a few look-ups a lane.
-- KEYS: see shard.lua. ARGV: 1 the lane after which to begin, or '', 2 limit
-- Returns {the last lane of the page or '' if there are no more, rule that is broken, lane, what is wrong, ...}.
local faults, last, limit = {''}, '', tonumber(ARGV[2])
local function report(name, lane, what)
  for _, value in ipairs({name, lane, what}) do faults[#faults + 1] = value end
end
local page = call('ZRANGEBYLEX', LANES, ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'LIMIT', 0, limit)
for _, lane in ipairs(page) do
  local number, connection = lane:sub(12), lane:sub(1, 10)
  local noted = tonumber(call('HGET', COUNTS, lane) or 0)
  local found = call('ZLEXCOUNT', WAITING, '[' .. number, '(' .. number .. ':')
  if noted ~= found then report('lane count', lane, found .. ' jobs wait, ' .. noted .. ' are counted') end
  local member, head = call('HGET', PLACES, lane), first(WAITING, number)
  local held = call('ZSCORE', LEASES, lane) and 'leased' or call('ZSCORE', PARKED, lane) and 'parked'
    or rule('pause:', lane) and 'paused'
  local class = head and head:sub(11, 11)
  if held and member then
    report('lane place', lane, 'it is ' .. held .. ' and yet may be taken')
  elseif not held and head and not member then
    report('lane place', lane, 'it has jobs that wait, nothing holds it, and it cannot be taken')
  elseif member and head and member:sub(1, 1) ~= class then
    report('lane place', lane, 'it stands in class ' .. member:sub(1, 1) .. ', its first job is of class ' .. class)
  elseif member and not call('ZSCORE', READY, member) then
    report('lane place', lane, 'its place among the ready lanes is missing')
  elseif member then
    local turn, shut = call('ZSCORE', TURNS[class], connection), closed(connection)[class]
    if shut and turn then report('connection turn', connection, 'it is closed and yet has a turn') end
    if not shut and not turn then report('connection turn', connection, 'it has a ready lane and no turn') end
  end
end
if #page == limit then faults[1] = page[#page] end
return faults
