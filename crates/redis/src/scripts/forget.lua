-- Takes members out of a companion whose rows are gone (expired, or deleted by somebody else).
-- KEYS: the companion, then the rows. ARGV: the rows' members.
local forgotten = 0
for i = 1, #ARGV do
  if redis.call('EXISTS', KEYS[i + 1]) == 0 then
    forgotten = forgotten + redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return forgotten
