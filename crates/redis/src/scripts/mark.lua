-- Marks indexes as being built ("begin"), or those that still are being built as whole ("end"). Answer: 1 when all are whole.
-- KEYS: the hash of whole indexes. ARGV: "begin" or "end", the prefix of what is being built, then each index's name and columns.
local whole = 1
for i = 3, #ARGV, 2 do
  local name, columns = ARGV[i], ARGV[i + 1]
  local now = redis.call('HGET', KEYS[1], name)
  if now ~= columns then
    if ARGV[1] == 'end' and now == ARGV[2] .. columns then
      redis.call('HSET', KEYS[1], name, columns)
    else
      whole = 0
      redis.call('HSET', KEYS[1], name, ARGV[2] .. columns)
    end
  end
end
return whole
