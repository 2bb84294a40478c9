//! How a session comes to be, and comes to an end, for all nodes of its tree: index, claims and the event, at once.

use redis::Cmd;

use crate::contract::{channel, key};
use crate::event::Event;

/// A session is there (`is`) or has ended (`over`, `swept`): in the index, in what it has, and told to all who listen, with the
/// number of the change and that of the one before it. `swept` is done only to what is doomed (`crate::sweep`), and told only
/// if it was in the index. Gives that number, or nothing if a session is doomed no more.
///
/// KEYS: index, version, claims, `sweeper:{tree}`. ARGV: `is`, `over` or `swept`, session, ms since 1970, message, what
/// says that it is doomed, channels …
const TELL: &str = "\
local index, counter, claims, doomed, session = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[2]
local mark = 'doomed:' .. session
if ARGV[1] == 'swept' and redis.call('HGET', doomed, mark) ~= ARGV[5] then return false end
redis.call('HDEL', doomed, mark)
if ARGV[1] == 'is' then
  redis.call('SADD', index, session)
  redis.call('HDEL', claims, 'since:' .. session)
else
  local known = redis.call('SREM', index, session)
  for claim in string.gmatch(redis.call('HGET', claims, 'has:' .. session) or '', '%S+') do
    if redis.call('HGET', claims, claim) == session then redis.call('HDEL', claims, claim) end
  end
  redis.call('HDEL', claims, 'name:' .. session, 'has:' .. session, 'since:' .. session)
  if ARGV[1] == 'swept' and known == 0 then return '0' end
end
local after = tonumber(redis.call('GET', counter) or 0) or 0
local version = string.format('%.0f', math.max(after + 1, tonumber(ARGV[3])))
redis.call('SET', counter, version)
local message = string.format('{\"version\":%s,\"after\":%.0f,', version, after) .. string.sub(ARGV[4], 2)
for i = 6, #ARGV do redis.call('PUBLISH', ARGV[i], message) end
return version";

/// What becomes of a session.
#[derive(Clone, Debug)]
pub enum Told {
    /// It is there, or another than it was.
    Is,
    /// It has ended.
    Over,
    /// It is taken out for a node that is gone, if it is still so doomed.
    Swept(String),
}

/// The command that has all nodes of a tree know. `event`: as it is published, without number.
pub fn tell(tree: &str, injection: &str, session: &str, told: &Told, event: &Event, now: u64) -> Cmd {
    let (what, doom) = match told {
        Told::Is => ("is", ""),
        Told::Over => ("over", ""),
        Told::Swept(doom) => ("swept", doom.as_str()),
    };
    let mut tell = redis::cmd("EVAL");
    tell.arg(TELL).arg(4);
    tell.arg(key::session_index(tree)).arg(key::session_version(tree)).arg(key::session_claims(tree));
    tell.arg(key::sweeper(tree));
    tell.arg(what).arg(session).arg(now).arg(event.message()).arg(doom);
    tell.arg(channel::tree_sessions(tree)).arg(channel::node_sessions(injection));
    tell
}
