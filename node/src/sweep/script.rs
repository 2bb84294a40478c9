//! What Redis does at once for a sweeper. Each script is given its keys, and these are in one slot of a Cluster
//! (docs/contract.md, *Redis Cluster*). What takes a session out of its tree is `sessions::tell`.

/// Lets a node sweep the tree unless another does. Gives who does, and its fence: higher than any before, and than what the
/// node has met elsewhere.
///
/// KEYS: lease, `sweeper:{tree}`. ARGV: node, time to live in ms, ms since 1970, a fence that was met
pub const TAKE: &str = "\
local held = redis.call('HMGET', KEYS[1], 'owner', 'fence')
if held[1] and held[1] ~= ARGV[1] then return {held[1], '0'} end
local fence, met = held[2], tonumber(ARGV[4])
if not fence or tonumber(fence) <= met then
  local last = tonumber(redis.call('HGET', KEYS[2], 'last') or 0)
  fence = string.format('%.0f', math.max(last + 1, met + 1, tonumber(ARGV[3])))
  redis.call('HSET', KEYS[2], 'last', fence)
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', fence)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], 86400000)
return {ARGV[1], fence}";

/// Notes for a day that something is to go from this slot, unless a sweeper of the tree with a higher fence was here. Gives that
/// fence, or 0.
///
/// KEYS: `sweeper:{KEY}`. ARGV: tree, fence, what
pub const DOOM: &str = "\
local last = tonumber(redis.call('HGET', KEYS[1], 'fence:' .. ARGV[1]) or 0)
if last > tonumber(ARGV[2]) then return string.format('%.0f', last) end
redis.call('HSET', KEYS[1], 'fence:' .. ARGV[1], ARGV[2], 'doomed:' .. ARGV[3], ARGV[1] .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], 86400000)
return '0'";

/// Takes something that is doomed still, and by whoever asks, out of the other keys. Gives whether it was (1 or 0).
///
/// KEYS: `sweeper:{KEY}`, others … ARGV: tree, fence, what, the command that takes it out
pub const STRIKE: &str = "\
local mark = 'doomed:' .. ARGV[3]
if redis.call('HGET', KEYS[1], mark) ~= ARGV[1] .. ' ' .. ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], mark)
for i = 2, #KEYS do redis.call(ARGV[4], KEYS[i], ARGV[3]) end
return 1";

/// Has a hash say that it is over, and expire when it would have. Not one of another node, nor one that was renewed lately:
/// its time to live says so. Gives `done`, `others` or `lives`.
///
/// KEYS: hash. ARGV: field that says whose it is, whose, full time to live in ms, how long ago is lately in ms, ms since 1970
pub const END: &str = "\
local hash, ttl, lately = KEYS[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local left = redis.call('PTTL', hash)
if left == -2 then return 'done' end
local has = redis.call('HMGET', hash, ARGV[1], 'active')
if has[1] ~= ARGV[2] then return 'others' end
if left >= 0 and ttl - left < lately then return 'lives' end
redis.call('HSET', hash, 'active', 'false', 'updatedAt', ARGV[5])
if left < 0 then redis.call('PEXPIRE', hash, math.max(ttl - lately, 1)) end
return 'done'";
