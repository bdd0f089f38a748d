-- Members of an index's set, unless the index isn't whole.
-- KEYS: the set, the hash of whole indexes. ARGV: the index's name and columns, the command, its two ends, how many.
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return false end
return redis.call(ARGV[3], KEYS[1], ARGV[4], ARGV[5], 'LIMIT', 0, ARGV[6])
