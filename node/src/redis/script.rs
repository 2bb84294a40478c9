//! Everything that a node reads in Redis and writes there. What must agree is read by one script, which writes nothing,
//! so that a read-only replica runs it, too.
//!
//! The scripts are given no keys but make them themselves: a key that a script is given counts as one that it writes, and
//! a node's user need not be allowed to write other nodes' keys. The names come from [`crate::contract`], as arguments.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, Value};

use crate::contract::{field, key};
use crate::media::PerKind;
use crate::record::{Origin, Place};
use crate::sessions::{SessionHash, SessionHashes};
use crate::topology::{Heard, Registered, Snapshot};

/// A child or parent whose `node:` key is no hash must not keep the others from being read: `pcall`.
static SNAPSHOT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local id, NODE, CHILDREN, PARENT = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
         local children = redis.call('SMEMBERS', CHILDREN .. id)
         for i, child in ipairs(children) do
           local hash = redis.pcall('HGETALL', NODE .. child)
           if hash.err then hash = hash.err end
           children[i] = {child, hash}
         end
         local parent = redis.call('GET', PARENT .. id)
         local origin = {}
         if parent then
           parent = string.match(parent, '^%s*(.-)%s*$')
           origin = redis.pcall('HGETALL', NODE .. parent)
           if origin.err then origin = origin.err end
         end
         return {parent, redis.call('EXISTS', NODE .. id), children, origin}",
    )
});

static HASHES: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local hashes = {}
         for i = 2, #ARGV do
           local hash = redis.pcall('HGETALL', ARGV[1] .. ARGV[i])
           if hash.err then hash = hash.err end
           hashes[i - 1] = hash
         end
         return hashes",
    )
});

static SESSIONS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local ACTIVE, SESSION, FIELDS = ARGV[1], ARGV[2], {unpack(ARGV, 3, 8)}
         local known = {}
         for i = 9, #ARGV do
           if redis.call('EXISTS', SESSION .. ARGV[i]) == 1 then known[#known + 1] = ARGV[i] end
         end
         local sessions = redis.call('SMEMBERS', ACTIVE)
         for i, id in ipairs(sessions) do
           local row = redis.pcall('HMGET', SESSION .. id, unpack(FIELDS))
           if row.err then row = {} end
           sessions[i] = {id, row}
         end
         return {known, sessions}",
    )
});

/// What a session's [`SessionHash`] has of its hash, in that order.
const ROW: [&str; 6] = [
    field::session::AUDIO_SSRC,
    field::session::VIDEO_SSRC,
    field::session::ROOM_ID,
    field::session::VIDEO_CODEC,
    field::session::TREE_ID,
    field::session::ACTIVE,
];

/// All that concerns a node.
pub async fn snapshot(commands: &mut MultiplexedConnection, id: &str) -> RedisResult<Snapshot> {
    let (parent, exists, children, origin): (Value, bool, Vec<(Value, Value)>, Value) = SNAPSHOT
        .arg(id)
        .arg(&[key::NODE_PREFIX, key::CHILDREN_PREFIX, key::PARENT_PREFIX])
        .invoke_async(commands)
        .await?;
    let parent = text(&parent).map(|parent| parent.trim().to_owned()).filter(|parent| !parent.is_empty());
    let children = children
        .into_iter()
        .filter_map(|(child, hash)| Some((text(&child)?, registered(&fields(&hash)))))
        .collect();
    let origin = parent.as_ref().and_then(|_| self::origin(&fields(&origin)));
    Ok(Snapshot { parent, origin, children, registered: exists })
}

/// The hashes of some nodes.
pub async fn hashes(
    commands: &mut MultiplexedConnection,
    ids: &[String],
) -> RedisResult<BTreeMap<String, Hash>> {
    let hashes: Vec<Value> = HASHES.arg(key::NODE_PREFIX).arg(ids).invoke_async(commands).await?;
    Ok(ids.iter().cloned().zip(hashes.iter().map(fields)).collect())
}

/// All active sessions, of whatever tree; and which of `asked` have a hash.
pub async fn sessions(commands: &mut MultiplexedConnection, asked: &[String]) -> RedisResult<SessionHashes> {
    let (known, rows): (Vec<Value>, Vec<(Value, Vec<Value>)>) = SESSIONS
        .arg(key::ACTIVE_SESSIONS)
        .arg(key::SESSION_PREFIX)
        .arg(&ROW)
        .arg(asked)
        .invoke_async(commands)
        .await?;
    let row = |(id, fields): (Value, Vec<Value>)| {
        let mut fields = fields.iter().map(text);
        let mut next = || fields.next().flatten();
        Some(SessionHash {
            id: text(&id)?,
            ssrcs: PerKind::from_fn(|_| next()),
            room_id: next(),
            video_codec: next(),
            tree_id: next(),
            active: next(),
        })
    };
    Ok(SessionHashes {
        active: rows.into_iter().filter_map(row).collect(),
        known: known.iter().filter_map(text).collect(),
    })
}

/// Registers: the whole hash, with its time to live, at once. Gives whether it was there before.
pub async fn register(
    commands: &mut MultiplexedConnection,
    id: &str,
    fields: &[(&'static str, String)],
    ttl: Duration,
) -> RedisResult<bool> {
    let key = key::node(id);
    let (existed,): (bool,) = redis::pipe()
        .atomic()
        .cmd("EXISTS")
        .arg(&key)
        .cmd("HSET")
        .arg(&key)
        .arg(fields)
        .ignore()
        .cmd("PEXPIRE")
        .arg(&key)
        .arg(ttl.as_millis() as u64)
        .ignore()
        .query_async(commands)
        .await?;
    Ok(existed)
}

/// The registration is there.
pub async fn is_registered(commands: &mut MultiplexedConnection, id: &str) -> RedisResult<bool> {
    redis::cmd("EXISTS").arg(key::node(id)).query_async(commands).await
}

/// The node is no more.
pub async fn unregister(commands: &mut MultiplexedConnection, id: &str) -> RedisResult<()> {
    redis::cmd("DEL").arg(key::node(id)).query_async(commands).await
}

/// The server is a master.
pub async fn is_master(commands: &mut MultiplexedConnection) -> RedisResult<bool> {
    let role: Vec<Value> = redis::cmd("ROLE").query_async(commands).await?;
    Ok(role.first().and_then(text).as_deref() == Some("master"))
}

/// Names and values that are no UTF-8 must not keep the rest from being read.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The fields of a node's hash, or why there are none.
pub type Hash = Result<BTreeMap<String, String>, String>;

fn fields(hash: &Value) -> Hash {
    let Value::Array(fields) = hash else {
        return Err("its node: key is no hash".to_owned());
    };
    Ok(fields.chunks_exact(2).filter_map(|pair| Some((text(&pair[0])?, text(&pair[1])?))).collect())
}

/// What a child's hash says.
pub fn registered(hash: &Hash) -> Registered {
    Place::of(hash.as_ref().map_err(Clone::clone)?)
}

/// What a parent's hash says.
pub fn origin(hash: &Hash) -> Heard {
    match hash {
        Ok(fields) => Origin::of(fields).transpose(),
        Err(why) => Some(Err(why.clone())),
    }
}
