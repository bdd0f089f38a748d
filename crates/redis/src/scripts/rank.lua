-- A member's score, and how many members of its set have a lower one, or a higher one.
-- KEYS: the set. ARGV: the member, "ascending" or "descending".
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score then return false end
if ARGV[2] == 'descending' then
  return { score, redis.call('ZCOUNT', KEYS[1], '(' .. score, '+inf') }
end
return { score, redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. score) }
