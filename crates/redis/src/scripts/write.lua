-- One or several conditional changes of different rows, all or none.
--
-- ARGV is the mode, the transaction whose locks are the caller's own (or ""), and then one change after the other, as write.rs puts them.
-- A list is its length and its elements.
--   "hash": lock's key; key; companion's key unless the member is empty |
--     "hash", expect, effect, member, expiry column, now, expiry,
--     list of (field, expected text), list of (field, text), list of fields to remove,
--     list of (field, least, greatest, amount) to add to, list of fields to return
--   "json": lock's key; key; companion's key unless the member is empty |
--     "json", expect, effect, member, expected text of the string, its new text, expiry
--   "set": lock's key; key | "set", expect, effect, member, expected score, score, list of nothing or of least, greatest, amount
-- Behind the member of "hash" and "json": "" in a cluster, else "indexes"; key of the hash of whole indexes |
--     list of (index, columns) that are kept, list of (field, expected text) that the members were computed from,
--     list of members to remove, list of members to add; the key of each one's set
-- An expected text begins with "="; "~" is a field or string that isn't there.
-- Modes: "write"; "prepare" checks the conditions and locks the rows; "commit" writes the rows that are locked by the transaction, whatever they
-- are, and takes the locks away. A lock of the transaction's own block, known by its last 24 characters, is in the way of neither "write", which
-- takes it away, nor "prepare", which makes it the transaction's.
-- Answer: {0} when a condition doesn't hold; {2} when a string isn't the one that its new text was made from;
-- {3, place of the change, transaction} when another's lock is in the way; else {1, what the last change returns}.

local next_argument, next_key = 0, 0

local function argument()
  next_argument = next_argument + 1
  return ARGV[next_argument]
end

local function list()
  local values = {}
  for i = 1, tonumber(argument()) do values[i] = argument() end
  return values
end

local function key()
  next_key = next_key + 1
  return KEYS[next_key]
end

-- A moment as two numbers. Not compared as text: Lua's order of texts follows the server's locale.
local function moment(text)
  local y, mo, d, h, mi, s = text:match('^(%d%d%d%d)%-(%d%d)%-(%d%d) (%d%d):(%d%d):(%d%d)')
  if not y then return nil end
  local fraction = text:match('^%.(%d+)', 20) or ''
  return tonumber(y .. mo .. d .. h .. mi .. s), tonumber((fraction .. '000000'):sub(1, 6))
end

-- Whether the time of a row is over, by its own column: its key may have outlived it, or was written without an expiry.
local function over(until_text, now)
  if until_text == '-infinity' or until_text:sub(-3) == ' BC' then return true end
  local second, micros = moment(until_text)
  if not second then return false end -- infinity, or the year 10000 and later
  local now_second, now_micros = moment(now)
  return second < now_second or (second == now_second and micros <= now_micros)
end

-- An integer as two numbers that are compared exactly: Lua's numbers are doubles.
local function halves(text)
  local sign, digits = text:match('^(%-?)(%d+)$')
  if not digits or #digits > 19 or (#digits > 1 and digits:sub(1, 1) == '0') then return nil end
  local factor = sign == '-' and -1 or 1
  local high, low = tonumber(digits:sub(1, -10)) or 0, tonumber(digits:sub(-9))
  return factor * high, factor * low
end

local function at_most(a, b)
  local a_high, a_low = halves(a)
  local b_high, b_low = halves(b)
  return a_high and b_high and (a_high < b_high or (a_high == b_high and a_low <= b_low))
end

local function read_indexes(change)
  change.kept, change.removals, change.additions = {}, {}, {}
  if argument() == '' then return end
  change.whole = key()
  local kept = list()
  for i = 1, #kept, 2 do change.kept[kept[i]] = kept[i + 1] end
  change.guard = list()
  for _, member in ipairs(list()) do change.removals[#change.removals + 1] = { key(), member } end
  for _, member in ipairs(list()) do change.additions[#change.additions + 1] = { key(), member } end
end

-- Whether the members were computed from the row as it is.
local function guarded(change)
  for i = 1, #(change.guard or {}), 2 do
    local text = redis.call('HGET', change.key, change.guard[i])
    if (text and '=' .. text or '~') ~= change.guard[i + 1] then return false end
  end
  return true
end

-- An index that this writer doesn't keep isn't whole any more.
local function keep_whole(change)
  if not change.whole then return end
  local whole = redis.call('HGETALL', change.whole)
  for i = 1, #whole, 2 do
    local columns = change.kept[whole[i]]
    if whole[i + 1] ~= columns and whole[i + 1] ~= 'building:' .. tostring(columns) then redis.call('HDEL', change.whole, whole[i]) end
  end
end

local hash, json, set = {}, {}, {}

function hash.read()
  local change = { key = key(), expect = argument(), effect = argument(), member = argument() }
  change.companion = change.member ~= '' and key()
  read_indexes(change)
  change.expiry_column, change.now, change.expiry = argument(), argument(), argument()
  change.expected, change.fields, change.removed, change.sums, change.returned = list(), list(), list(), list(), list()
  change.type = 'hash'
  return change
end

function hash.exists(change)
  if redis.call('EXISTS', change.key) == 0 then return false end
  if change.expiry_column == '' then return true end
  local until_text = redis.call('HGET', change.key, change.expiry_column)
  change.is_over = until_text and over(until_text, change.now)
  return not change.is_over
end

function hash.unchanged(change)
  for i = 1, #change.expected, 2 do
    local text = redis.call('HGET', change.key, change.expected[i])
    if (text and '=' .. text or '~') ~= change.expected[i + 1] then return false end
  end
  return true
end

-- Whether all that is to be added can be.
function hash.adds(change)
  for i = 1, #change.sums, 4 do
    local text = redis.call('HGET', change.key, change.sums[i])
    if not (text and at_most(change.sums[i + 1], text) and at_most(text, change.sums[i + 2])) then return false end
  end
  return true
end

local function remove(change)
  redis.call('DEL', change.key)
  if change.companion then redis.call('ZREM', change.companion, change.member) end
  for _, entry in ipairs(change.removals) do redis.call('ZREM', entry[1], entry[2]) end
end

-- A set lives as long as the longest-lived of its rows.
local function put_member(change, companion, member)
  local before = redis.call('PTTL', companion)
  redis.call('ZADD', companion, 0, member)
  local row = redis.call('PTTL', change.key)
  if row < 0 then
    if before >= 0 then redis.call('PERSIST', companion) end
  elseif before == -2 or (before >= 0 and before < row) then
    redis.call('PEXPIRE', companion, row)
  end
end

local function put_members(change)
  if change.companion then put_member(change, change.companion, change.member) end
  for _, entry in ipairs(change.removals) do redis.call('ZREM', entry[1], entry[2]) end
  for _, entry in ipairs(change.additions) do put_member(change, entry[1], entry[2]) end
end

local function returned(change)
  if #change.returned == 0 then return false end
  return redis.call('HMGET', change.key, unpack(change.returned))
end

function hash.apply(change)
  if change.effect == 'delete' then
    local row = change.there and returned(change)
    remove(change)
    return row
  end
  -- Only where there is something: once a script has written, Redis no longer refuses what it has no room for.
  if change.is_over then redis.call('DEL', change.key) end
  redis.call('HSET', change.key, unpack(change.fields))
  for i = 1, #change.sums, 4 do redis.call('HINCRBY', change.key, change.sums[i], change.sums[i + 3]) end
  if #change.removed > 0 then redis.call('HDEL', change.key, unpack(change.removed)) end
  local row = returned(change)
  if change.expiry == 'over' then
    remove(change)
    return row
  end
  if change.expiry == 'never' then
    redis.call('PERSIST', change.key)
  elseif change.expiry ~= 'keep' then
    redis.call('PEXPIREAT', change.key, change.expiry)
  end
  put_members(change)
  return row
end

function json.read()
  local change = { key = key(), expect = argument(), effect = argument(), member = argument() }
  change.companion = change.member ~= '' and key()
  read_indexes(change)
  change.expected, change.text, change.expiry = argument(), argument(), argument()
  change.type = 'string'
  return change
end

function json.exists(change)
  change.before = redis.call('GET', change.key)
  return change.before ~= false
end

-- Sums are in the new text already.
function json.adds()
  return true
end

function json.apply(change)
  if change.effect == 'delete' then
    remove(change)
    return change.expect == 'any' and change.before
  end
  if change.expiry == 'keep' then
    redis.call('SET', change.key, change.text, 'KEEPTTL')
  else
    redis.call('SET', change.key, change.text)
    if change.expiry ~= 'never' then redis.call('PEXPIREAT', change.key, change.expiry) end
  end
  put_members(change)
  return false
end

function set.read()
  local change = { key = key(), expect = argument(), effect = argument(), member = argument() }
  change.expected, change.score, change.sum = argument(), argument(), list()
  change.type = 'zset'
  return change
end

function set.exists(change)
  change.before = redis.call('ZSCORE', change.key, change.member)
  return change.before ~= false
end

function set.unchanged(change)
  return tonumber(change.before) == tonumber(change.expected)
end

function set.adds(change)
  if #change.sum == 0 then return true end
  local before = tonumber(change.before)
  return before and before % 1 == 0 and before >= tonumber(change.sum[1]) and before <= tonumber(change.sum[2])
end

function set.apply(change)
  if change.effect == 'delete' then
    redis.call('ZREM', change.key, change.member)
    return change.before
  end
  if #change.sum > 0 then return redis.call('ZINCRBY', change.key, change.sum[3], change.member) end
  redis.call('ZADD', change.key, change.score, change.member)
  return change.score
end

local layouts = { hash = hash, json = json, set = set }
local changes = {}
local mode, transaction = argument(), argument()
local place = -1

local function is_of_block(holder)
  return holder and transaction ~= '' and holder:sub(-24) == transaction:sub(-24)
end

-- What is committed is written whatever the row is.
local function holds(change, layout)
  if mode == 'commit' or change.expect == 'any' or change.expect == 'same' then return true end
  if change.expect == 'absent' then return not change.there end
  return change.there and (change.expect == 'present' or (change.expect == 'unchanged' and layout.unchanged(change)))
end

-- First all conditions, and whatever else could fail: a script that fails doesn't take back what it wrote.
while next_argument < #ARGV do
  local layout = layouts[argument()]
  local lock = key()
  local change = layout.read()
  place = place + 1
  local holder = redis.call('GET', lock)
  local is_own = holder == transaction or (mode ~= 'commit' and is_of_block(holder))
  if holder and not is_own and mode ~= 'commit' then return { 3, place, holder } end
  local type_of = redis.call('TYPE', change.key).ok
  local type_of_companion = change.companion and redis.call('TYPE', change.companion).ok
  if (type_of ~= 'none' and type_of ~= change.type)
    or (type_of_companion and type_of_companion ~= 'none' and type_of_companion ~= 'zset') then
    return redis.error_reply('WRONGTYPE a key of the table holds a value of another kind')
  end
  if is_own or mode ~= 'commit' then
    change.there = layout.exists(change)
    if not guarded(change) then return { 2 } end
    if change.expect == 'same' and (change.before and '=' .. change.before or '~') ~= change.expected then
      return { 2 }
    end
    if not holds(change, layout) or (change.there and mode ~= 'commit' and not layout.adds(change)) then return { 0 } end
    change.layout, change.lock, change.is_own = layout, lock, is_own
    changes[#changes + 1] = change
  end
end

local last = false
for _, change in ipairs(changes) do
  if mode == 'prepare' then
    redis.call('SET', change.lock, transaction)
  else
    last = change.layout.apply(change)
    keep_whole(change)
    if change.is_own then redis.call('DEL', change.lock) end
  end
end
return { 1, last }
