//! What a sweeper reads: of sets a part at a time. A key of another type has nothing in it, and is there.

use std::collections::{BTreeMap, BTreeSet};

use redis::aio::ConnectionLike;
use redis::{RedisResult, Value};

use super::plan::{Left, Listed, Shown};
use crate::contract::field::{mountpoint, session as field};
use crate::contract::key;
use crate::directory::{self, Entry};
use crate::redis::script::{each, text};

/// Members of a set that are looked at in a turn.
const AT_ONCE: usize = 100;

/// A tree's directory: all names, and what those say that can be read.
pub async fn directory<C: ConnectionLike + Send>(
    commands: &mut C,
    tree: &str,
) -> RedisResult<BTreeMap<String, Option<Entry>>> {
    let reading = redis::cmd("HGETALL").arg(key::directory(tree)).query_async::<Vec<Value>>(commands).await;
    let fields = match reading {
        Err(error) if error.code() == Some("WRONGTYPE") => Vec::new(),
        fields => fields?,
    };
    let pair = |pair: &[Value]| Some((text(&pair[0])?, text(&pair[1])?));
    let fields: BTreeMap<String, String> = fields.chunks_exact(2).filter_map(pair).collect();
    let names: Vec<String> = fields.keys().cloned().collect();
    let mut entries = directory::read(fields);
    Ok(names.into_iter().map(|id| (id.clone(), entries.remove(&id))).collect())
}

/// The next sessions of a tree's index.
pub async fn index<C: ConnectionLike + Send>(
    commands: &mut C,
    tree: &str,
    cursor: &mut String,
) -> RedisResult<BTreeMap<String, Listed>> {
    let ids = next(commands, &key::session_index(tree), cursor).await?;
    let read = |id: &String| redis::cmd("SISMEMBER").arg(key::ACTIVE_SESSIONS).arg(id).take();
    let active: Vec<(String, Option<bool>)> = each(commands, &ids, read).await?;
    let fields = [field::INJECTION_NODE_ID, field::ACTIVE];
    let read = |id: &String| redis::cmd("HMGET").arg(key::session(id)).arg(&fields).take();
    let rows: Vec<(String, Option<[Value; 2]>)> = each(commands, &ids, read).await?;
    let listed = rows.into_iter().zip(active).map(|((id, row), (_, is_active))| {
        let is_hash = row.is_some();
        let [injection, active] = row.unwrap_or([Value::Nil, Value::Nil]).map(|value| text(&value));
        let is_over = is_hash && active.is_none_or(|active| matches!(active.trim(), "false" | "0"));
        (id, Listed { injection, is_over, is_active: is_active.unwrap_or(true) })
    });
    Ok(listed.collect())
}

/// The next active sessions, each with whether it has a hash.
pub async fn sessions<C: ConnectionLike + Send>(
    commands: &mut C,
    cursor: &mut String,
) -> RedisResult<BTreeMap<String, bool>> {
    let ids = next(commands, key::ACTIVE_SESSIONS, cursor).await?;
    exist(commands, &ids, key::session).await
}

/// The next active mountpoints.
pub async fn mountpoints<C: ConnectionLike + Send>(
    commands: &mut C,
    tree: &str,
    cursor: &mut String,
) -> RedisResult<BTreeMap<(String, String), Shown>> {
    let members = next(commands, key::ACTIVE_MOUNTPOINTS, cursor).await?;
    let fields = [mountpoint::TREE_ID, mountpoint::EGRESS_NODE_ID, mountpoint::SESSION_ID];
    let read = |member: &String| redis::cmd("HMGET").arg(key::mountpoint_of(member)).arg(&fields).take();
    let rows: Vec<(String, Option<[Value; 3]>)> = each(commands, &members, read).await?;
    let shown = rows.into_iter().filter_map(|(member, row)| {
        let (egress, session) = member.rsplit_once(':')?;
        let is_of_tree = |row: &[Value; 3]| text(&row[0]).as_deref() == Some(tree);
        let has_hash = row.as_ref().is_none_or(|row| row.iter().any(|value| *value != Value::Nil));
        let is_ours = row.as_ref().is_some_and(is_of_tree);
        Some(((egress.to_owned(), session.to_owned()), Shown { has_hash, is_ours }))
    });
    Ok(shown.collect())
}

/// Which of these nodes are registered.
pub async fn registered<C: ConnectionLike + Send>(
    commands: &mut C,
    nodes: &[String],
) -> RedisResult<BTreeMap<String, bool>> {
    exist(commands, nodes, key::node).await
}

/// What a node's own sets have.
pub async fn left<C: ConnectionLike + Send>(commands: &mut C, node: &str) -> RedisResult<Left> {
    let (sessions, more_sessions) = members(commands, &key::sessions(node)).await?;
    let (mountpoints, more_mountpoints) = members(commands, &key::mountpoints(node)).await?;
    Ok(Left { sessions, mountpoints, more: more_sessions || more_mountpoints })
}

/// Some of these egresses gets a session's media.
pub async fn is_flowing<C: ConnectionLike + Send>(
    commands: &mut C,
    egresses: &[String],
    session: &str,
) -> RedisResult<bool> {
    let read = |egress: &String| {
        redis::cmd("HGET").arg(key::mountpoint(egress, session)).arg(mountpoint::ACTIVE).take()
    };
    for some in egresses.chunks(AT_ONCE) {
        let active: Vec<(String, Option<Value>)> = each(commands, some, read).await?;
        if active.iter().any(|(_, active)| active.as_ref().and_then(text).as_deref() == Some("true")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The next members of a set.
async fn next<C: ConnectionLike + Send>(
    commands: &mut C,
    set: &str,
    cursor: &mut String,
) -> RedisResult<Vec<String>> {
    let (next, members) = scan(commands, set, cursor).await?;
    *cursor = next;
    Ok(members)
}

/// Some members of a set, and whether there are more.
async fn members<C: ConnectionLike + Send>(
    commands: &mut C,
    set: &str,
) -> RedisResult<(BTreeSet<String>, bool)> {
    let (cursor, mut members) = scan(commands, set, "0").await?;
    let more = cursor != "0" || members.len() > AT_ONCE;
    members.truncate(AT_ONCE);
    Ok((members.into_iter().collect(), more))
}

async fn scan<C: ConnectionLike + Send>(
    commands: &mut C,
    set: &str,
    cursor: &str,
) -> RedisResult<(String, Vec<String>)> {
    let mut scan = redis::cmd("SSCAN");
    scan.arg(set).arg(cursor).arg("COUNT").arg(AT_ONCE);
    match scan.query_async::<(String, Vec<Value>)>(commands).await {
        Ok((cursor, members)) => Ok((cursor, members.iter().filter_map(text).collect())),
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(("0".to_owned(), Vec::new())),
        Err(error) => Err(error),
    }
}

/// Which of these have a key.
async fn exist<C: ConnectionLike + Send>(
    commands: &mut C,
    names: &[String],
    key: impl Fn(&str) -> String,
) -> RedisResult<BTreeMap<String, bool>> {
    let read = |name: &String| redis::cmd("EXISTS").arg(key(name)).take();
    let found: Vec<(String, Option<bool>)> = each(commands, names, read).await?;
    Ok(found.into_iter().map(|(name, is_there)| (name, is_there.unwrap_or(true))).collect())
}
