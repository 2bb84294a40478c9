//! What Redis does at once for a scaler. Each script is given its keys.

/// Lets a scaler lead in a tree unless another does. Gives who does, and the fence of its lease: higher than any before.
///
/// KEYS: lease, highest fence so far. ARGV: scaler, time to live in ms, ms since 1970
pub const TAKE: &str = "\
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then return {owner, '0'} end
local fence = redis.call('HGET', KEYS[1], 'fence')
if not fence then
  local last = tonumber(redis.call('GET', KEYS[2]) or '0')
  fence = string.format('%.0f', math.max(last + 1, tonumber(ARGV[3])))
  redis.call('SET', KEYS[2], fence)
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', fence)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {ARGV[1], fence}";

/// Gives the lease back, if it is the scaler's still.
///
/// KEYS: lease. ARGV: scaler, fence
pub const LEAVE: &str = "\
local held = redis.call('HMGET', KEYS[1], 'owner', 'fence')
if held[1] == ARGV[1] and held[2] == ARGV[2] then redis.call('DEL', KEYS[1]) end
return 0";

/// What a command begins with that is carried out only if its key has a certain value: `IF`, key, that value, and then the command and its
/// arguments without the key.
pub const IF: &str = "IF";

/// What both ways of writing begin with: a function that carries commands out, a list of lists as JSON. What is refused is named, which
/// Redis does not do. Of a value what somebody may have typed around it does not count.
macro_rules! carries_out {
    ($rest:literal) => {
        concat!(
            "\
local function refused(said, words)
  if type(said) == 'table' and said.err then
    return redis.error_reply(said.err .. ': ' .. words[1] .. ' ' .. words[2])
  end
end
local function carry_out(commands)
  for _, words in ipairs(cjson.decode(commands)) do
    local no
    if words[1] == 'IF' then
      local get = {'GET', words[2]}
      local is = redis.pcall(unpack(get))
      no = refused(is, get)
      if no then return no end
      local as_wanted = is and string.match(is, '^%s*(.-)%s*$') == words[3]
      words = as_wanted and {words[4], words[2], unpack(words, 5)}
    end
    no = words and refused(redis.pcall(unpack(words)), words)
    if no then return no end
  end
  return 1
end
",
            $rest
        )
    };
}

/// Carries commands out if the lease is the scaler's, by this fence. Gives whether it was (1 or 0).
///
/// KEYS: lease, others … ARGV: scaler, fence, commands
pub const WRITE: &str = carries_out!(
    "\
local held = redis.call('HMGET', KEYS[1], 'owner', 'fence')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
return carry_out(ARGV[3])"
);

/// The same for a key that is in another slot of a Cluster than the lease: unless a higher fence has been here.
///
/// KEYS: fence beside the key, the key. ARGV: fence, commands
pub const WRITE_BESIDE: &str = carries_out!(
    "\
local last = redis.call('GET', KEYS[1])
if last and tonumber(last) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', 86400000)
return carry_out(ARGV[2])"
);
