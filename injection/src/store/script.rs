//! What Redis decides by itself, because two injections may ask at once. Each script is given its keys, and these are in one
//! slot of a Cluster (docs/contract.md, *Redis Cluster*). What all nodes are told by is `node::sessions::tell`.

/// Lets a session have its name, its SSRCs and its room, unless another has one of them; gives what, and who. What was let
/// have is let go of when nothing came of it for half a minute.
///
/// KEYS: claims, index. ARGV: session, ms since 1970, injection, claims …
pub const CLAIM: &str = "\
local claims, index, session, now, injection = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local function stands(other)
  if redis.call('SISMEMBER', index, other) == 1 then return true end
  return now - tonumber(redis.call('HGET', claims, 'since:' .. other) or 0) < 30000
end
local holder = redis.call('HGET', claims, 'name:' .. session)
if holder and holder ~= injection and stands(session) then return {'name:' .. session, session} end
for i = 4, #ARGV do
  local other = redis.call('HGET', claims, ARGV[i])
  if other and other ~= session and stands(other) then return {ARGV[i], other} end
end
for claim in string.gmatch(redis.call('HGET', claims, 'has:' .. session) or '', '%S+') do
  if redis.call('HGET', claims, claim) == session then redis.call('HDEL', claims, claim) end
end
for i = 4, #ARGV do redis.call('HSET', claims, ARGV[i], session) end
redis.call('HSET', claims, 'name:' .. session, injection)
redis.call('HSET', claims, 'has:' .. session, table.concat(ARGV, ' ', 4))
redis.call('HSET', claims, 'since:' .. session, ARGV[2])
return {}";

/// Lists a session among the active ones, unless one of its name is. Gives whether it did (1 or 0), and then the active
/// sessions that are in no index: written by hand or by an older injection, and so without claims.
///
/// KEYS: active, indexed. ARGV: session
pub const LIST: &str = "\
local answer = redis.call('SDIFF', KEYS[1], KEYS[2])
local listed = redis.call('SADD', KEYS[1], ARGV[1])
if listed == 1 then redis.call('SADD', KEYS[2], ARGV[1]) end
table.insert(answer, 1, tostring(listed))
return answer";
