//! Everything that a node reads in Redis about its place in the tree, and writes there. What must agree is read in one MULTI,
//! which a read-only replica takes, too, and which needs no right to write. The names come from [`crate::contract`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, FromRedisValue, RedisResult, Value};

use super::wire::Wire;
use crate::contract::{field, key};
use crate::media::PerKind;
use crate::record::{Origin, Place};
use crate::sessions::SessionHash;
use crate::sessions::follow::Names;
use crate::topology::{Heard, MOST_STANDBY, Registered, Snapshot};

/// Most hashes that are asked for at once: others want answers meanwhile.
const AT_ONCE: usize = 100;

/// All that concerns a node: its children, its parent, and whether its registration is there at one moment (in a Cluster: and
/// whether each server has what was written beside them), then the hashes of these.
///
/// `standby`: its standby parents are read, too; a user that was made for an older version may not.
pub async fn snapshot(commands: &mut Wire, id: &str, standby: bool) -> RedisResult<Snapshot> {
    let is_cluster = commands.is_cluster();
    let mut pipe = redis::pipe();
    pipe.atomic();
    let mut read = |command: &str, key: String| {
        pipe.cmd(command).arg(&key);
        if is_cluster {
            pipe.exists(key::beside(&key));
        }
    };
    read("SMEMBERS", key::children(id));
    read("GET", key::parent(id));
    if standby {
        read("SMEMBERS", key::standby(id));
    }
    pipe.exists(key::node(id));
    let mut answers = pipe.query_async::<Vec<Value>>(commands).await?.into_iter();
    let mut answer = || answers.next().unwrap_or(Value::Nil);
    let mut registered = true;
    let mut next = |answer: &mut dyn FnMut() -> Value| -> RedisResult<Value> {
        let value = answer();
        registered &= !is_cluster || redis::from_redis_value::<bool>(answer())?;
        Ok(value)
    };
    let children = names(next(&mut answer)?)?;
    let parent = text(&next(&mut answer)?);
    let parent = parent.map(|parent| parent.trim().to_owned()).filter(|parent| !parent.is_empty());
    let mut standby = if standby { names(next(&mut answer)?)? } else { Vec::new() };
    registered &= redis::from_redis_value::<bool>(answer())?;
    // However many somebody has written: one that is refused is enough to be said.
    standby.sort();
    standby.truncate(MOST_STANDBY + 1);
    let relatives: Vec<String> = children.iter().chain(&parent).chain(&standby).cloned().collect();
    let hashes = hashes(commands, &relatives).await?;
    let of = |id: &String| hashes.get(id).unwrap_or(&NO_FIELDS);
    Ok(Snapshot {
        origin: parent.as_ref().and_then(|parent| origin(of(parent))),
        standby: standby.iter().map(|id| (id.clone(), origin(of(id)))).collect(),
        children: children.iter().map(|child| (child.clone(), registered_of(of(child)))).collect(),
        parent,
        registered,
    })
}

/// Members of a set.
fn names(members: Value) -> RedisResult<Vec<String>> {
    let members: Vec<Value> = redis::from_redis_value(members)?;
    Ok(members.iter().filter_map(text).collect())
}

/// The hashes of some nodes. A key that is no hash must not keep the others from being read.
pub async fn hashes(commands: &mut Wire, ids: &[String]) -> RedisResult<BTreeMap<String, Hash>> {
    let read = |id: &String| redis::cmd("HGETALL").arg(key::node(id)).take();
    let rows: Vec<(String, Option<Vec<Value>>)> = each(commands, ids, read).await?;
    Ok(rows.into_iter().map(|(id, fields)| (id, hash(fields))).collect())
}

/// Names of sessions, and how far the tree is.
pub async fn session_names(commands: &mut Wire, tree: &str) -> RedisResult<Names> {
    let (version, active, indexed): (Value, Vec<Value>, Vec<Value>) = redis::pipe()
        .atomic()
        // First: in a Cluster the names may be later, but never earlier.
        .cmd("GET")
        .arg(key::session_version(tree))
        .cmd("SMEMBERS")
        .arg(key::ACTIVE_SESSIONS)
        .cmd("SMEMBERS")
        .arg(key::INDEXED_SESSIONS)
        .query_async(commands)
        .await?;
    let set = |names: Vec<Value>| names.iter().filter_map(text).collect();
    let version = text(&version).and_then(|version| version.parse().ok()).unwrap_or_default();
    Ok(Names { version, active: set(active), indexed: set(indexed) })
}

/// Names of a tree's sessions, as its injections have them.
pub async fn session_index(commands: &mut Wire, tree: &str) -> RedisResult<BTreeSet<String>> {
    let names: Vec<Value> =
        redis::cmd("SMEMBERS").arg(key::session_index(tree)).query_async(commands).await?;
    Ok(names.iter().filter_map(text).collect())
}

/// What a session's [`SessionHash`] has of its hash, in that order.
const ROW: [&str; 6] = [
    field::session::AUDIO_SSRC,
    field::session::VIDEO_SSRC,
    field::session::ROOM_ID,
    field::session::VIDEO_CODEC,
    field::session::TREE_ID,
    field::session::ACTIVE,
];

/// The hashes of some sessions; a key that is no hash has no fields.
pub async fn session_hashes(
    commands: &mut Wire,
    ids: &[String],
) -> RedisResult<BTreeMap<String, SessionHash>> {
    let read = |id: &String| redis::cmd("HMGET").arg(key::session(id)).arg(&ROW).take();
    let rows: Vec<(String, Option<Vec<Value>>)> = each(commands, ids, read).await?;
    let row = |fields: Vec<Value>| {
        let mut fields = fields.iter().map(text);
        let mut next = || fields.next().flatten();
        SessionHash {
            ssrcs: PerKind::from_fn(|_| next()),
            room_id: next(),
            video_codec: next(),
            tree_id: next(),
            active: next(),
        }
    };
    Ok(rows.into_iter().map(|(id, fields)| (id, fields.map(row).unwrap_or_default())).collect())
}

/// One command for each of these, some at a time. `None`: its key is of another type.
pub async fn each<T: FromRedisValue>(
    commands: &mut (impl ConnectionLike + Send),
    ids: &[String],
    read: impl Fn(&String) -> Cmd,
) -> RedisResult<Vec<(String, Option<T>)>> {
    let mut rows = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let mut pipe = redis::pipe();
        pipe.ignore_errors();
        for id in some {
            pipe.add_command(read(id));
        }
        let answers: Vec<RedisResult<T>> = pipe.query_async(commands).await?;
        for (id, answer) in some.iter().zip(answers) {
            let answer = match answer {
                Ok(answer) => Some(answer),
                Err(error) if error.code() == Some("WRONGTYPE") => None,
                Err(error) => return Err(error),
            };
            rows.push((id.clone(), answer));
        }
    }
    Ok(rows)
}

/// Registers: the whole hash, with its time to live, at once. Gives whether it was there before.
pub async fn register(
    commands: &mut Wire,
    id: &str,
    fields: &[(&'static str, String)],
    ttl: Duration,
) -> RedisResult<bool> {
    let (key, ttl) = (key::node(id), ttl.as_millis() as u64);
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("EXISTS").arg(&key);
    pipe.cmd("HSET").arg(&key).arg(fields).ignore();
    pipe.cmd("PEXPIRE").arg(&key).arg(ttl).ignore();
    if commands.is_cluster() {
        // Each server may lose its data by itself.
        for key in [key::children(id), key::parent(id), key::standby(id)] {
            pipe.cmd("SET").arg(key::beside(&key)).arg(id).arg("PX").arg(ttl).ignore();
        }
    }
    let (existed,): (bool,) = pipe.query_async(commands).await?;
    Ok(existed)
}

/// Keeps a node's entry in its tree's directory: what a sweeper had in mind with it is off.
pub async fn enter(commands: &mut Wire, tree: &str, id: &str, entry: &str) -> RedisResult<()> {
    let mut pipe = redis::pipe();
    pipe.ignore_errors();
    pipe.hdel(key::sweeper(&key::directory(tree)), key::doomed(id));
    pipe.cmd("HSET").arg(key::directory(tree)).arg(id).arg(entry);
    let (_, entered): (RedisResult<Value>, RedisResult<Value>) = pipe.query_async(commands).await?;
    entered.map(drop)
}

/// How it stands with a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It is there.
    pub registered: bool,
    /// Another process has written it, or wants to.
    pub disturbed: bool,
}

/// How it stands with the registration that this process has written. If all is well, that the node lives is written besides:
/// `ttl` from now on, so that how much of it is left tells when it was heard of last.
pub async fn standing(commands: &mut Wire, id: &str, instance: &str, ttl: Duration) -> RedisResult<Standing> {
    let mut name = redis::pipe();
    let fields = [field::instance::INSTANCE, field::instance::RIVAL];
    name.cmd("HMGET").arg(key::instance(id)).arg(&fields);
    let (registered, written) = (is_registered(commands, id).await?, name.query_async(commands).await);
    // Its key is of another type: whoever writes it says so.
    let ((written, rival),): ((Option<String>, Option<String>),) = match written {
        Err(error) if error.code() == Some("WRONGTYPE") => {
            return Ok(Standing { registered, disturbed: false });
        }
        written => written?,
    };
    let is_ours = written.as_ref().is_some_and(|written| written == instance);
    let disturbed = (written.is_some() && !is_ours) || rival.is_some_and(|rival| !rival.is_empty());
    if is_ours {
        let mut renew = redis::cmd("PEXPIRE");
        renew.arg(key::instance(id)).arg(ttl.as_millis() as u64);
        match renew.query_async::<Value>(commands).await {
            // A server that takes no writes may be read all the same.
            Err(error) if error.code().is_none() => return Err(error),
            _ => {}
        }
    }
    Ok(Standing { registered, disturbed })
}

/// The registration is there.
async fn is_registered(commands: &mut Wire, id: &str) -> RedisResult<bool> {
    let mut pipe = redis::pipe();
    pipe.exists(key::node(id));
    if commands.is_cluster() {
        pipe.exists(key::beside(&key::children(id)));
        pipe.exists(key::beside(&key::parent(id)));
        pipe.exists(key::beside(&key::standby(id)));
    }
    let there: Vec<bool> = pipe.query_async(commands).await?;
    Ok(there.into_iter().all(|there| there))
}

/// The node is no more.
pub async fn unregister(commands: &mut Wire, tree: &str, id: &str) -> RedisResult<()> {
    let mut pipe = redis::pipe();
    pipe.del(key::node(id)).ignore();
    // Whoever was refused the name finds its own word there: the name is free, and not lost.
    pipe.hdel(key::instance(id), &[field::instance::INSTANCE, field::instance::RIVAL]).ignore();
    if commands.is_cluster() {
        pipe.del(key::beside(&key::children(id))).ignore();
        pipe.del(key::beside(&key::parent(id))).ignore();
        pipe.del(key::beside(&key::standby(id))).ignore();
    }
    // Last: who may not write there has left all the same.
    pipe.hdel(key::directory(tree), id).ignore();
    pipe.query_async(commands).await
}

/// The server is a master.
pub async fn is_master(commands: &mut MultiplexedConnection) -> RedisResult<bool> {
    let role: Vec<Value> = redis::cmd("ROLE").query_async(commands).await?;
    Ok(role.first().and_then(text).as_deref() == Some("master"))
}

/// Names and values that are no UTF-8 must not keep the rest from being read.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The fields of a node's hash, or why there are none.
pub type Hash = Result<BTreeMap<String, String>, String>;

static NO_FIELDS: Hash = Ok(BTreeMap::new());

fn hash(fields: Option<Vec<Value>>) -> Hash {
    let fields = fields.ok_or("its node: key is no hash")?;
    Ok(fields.chunks_exact(2).filter_map(|pair| Some((text(&pair[0])?, text(&pair[1])?))).collect())
}

/// What a child's hash says.
pub fn registered_of(hash: &Hash) -> Registered {
    Place::of(hash.as_ref().map_err(Clone::clone)?)
}

/// What a parent's hash says.
pub fn origin(hash: &Hash) -> Heard {
    match hash {
        Ok(fields) => Origin::of(fields).transpose(),
        Err(why) => Some(Err(why.clone())),
    }
}
