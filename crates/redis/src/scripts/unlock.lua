-- Takes a transaction's locks away.
-- KEYS: the locks. ARGV: the transaction.
for _, lock in ipairs(KEYS) do
  if redis.call('GET', lock) == ARGV[1] then redis.call('DEL', lock) end
end
return 1
