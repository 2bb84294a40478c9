//! Reads what Redis says of a tree. Some hundred commands at a time, none of which anybody waits for; of what is there only so
//! much is asked for that the answer has a sound size, however large a tree somebody has written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use redis::{FromRedisValue, Pipeline, RedisResult, Value};

use super::facts::{Facts, NodeFacts, RegistrationFacts, SessionFacts};
use crate::commands::Commands;
use crate::config::is_name;
use crate::contract::{field, is_session, key};
use crate::directory::{self, Entry};
use crate::record::NodeType;
use crate::topology::MOST_STANDBY;

/// Most nodes that are read.
pub const MOST_NODES: usize = 1_000;
/// Most sessions that are read.
pub const MOST_SESSIONS: usize = 500;
/// With more mountpoints than this, it is not read who carries which session.
const MOST_MOUNTPOINTS: usize = 20_000;
/// Most commands at once: others want answers meanwhile.
const AT_ONCE: usize = 400;

/// What Redis says of a tree now. An error says what is wrong with Redis and what to do.
pub async fn read(commands: &Commands, tree_id: &str) -> Result<Facts, String> {
    let mut first = redis::pipe();
    first.cmd("HGETALL").arg(key::directory(tree_id));
    first.cmd("SCARD").arg(key::ACTIVE_MOUNTPOINTS);
    first.cmd("SMEMBERS").arg(key::session_index(tree_id));
    first.cmd("SMEMBERS").arg(key::ACTIVE_SESSIONS);
    first.cmd("SMEMBERS").arg(key::INDEXED_SESSIONS);
    let mut facts = Facts { tree_id: tree_id.to_owned(), at: now(), ..Facts::default() };
    let [fields, mountpoints, index, active, indexed] = run(commands, first, &mut facts).await?;
    nodes(commands, entries(&fields, &facts)?, &mut facts).await?;
    // Those that were written by hand are in no index, and may be of another tree.
    let indexed: BTreeSet<String> = texts(&indexed).collect();
    let by_hand = texts(&active).filter(|name| !indexed.contains(name));
    let names: BTreeSet<String> = texts(&index).chain(by_hand).filter(|name| is_session(name)).collect();
    let is_small = mountpoints != Value::Nil && number(&mountpoints) <= MOST_MOUNTPOINTS as u64;
    let carriers = match is_small && !names.is_empty() {
        true => Some(carriers(commands, &mut facts).await?),
        false => None,
    };
    sessions(commands, names, carriers, &mut facts).await?;
    Ok(facts)
}

/// The same of its nodes alone.
pub async fn read_nodes(commands: &Commands, tree_id: &str) -> Result<Facts, String> {
    let mut first = redis::pipe();
    first.cmd("HGETALL").arg(key::directory(tree_id));
    let mut facts = Facts { tree_id: tree_id.to_owned(), at: now(), ..Facts::default() };
    let [fields] = run(commands, first, &mut facts).await?;
    nodes(commands, entries(&fields, &facts)?, &mut facts).await?;
    Ok(facts)
}

/// The directory, unless it may not be read.
fn entries(fields: &Value, facts: &Facts) -> Result<BTreeMap<String, Entry>, String> {
    match (&facts.unread, fields) {
        (Some(why), Value::Nil) => Err(format!("the tree cannot be read: {why}")),
        _ => Ok(directory::read(BTreeMap::from_iter(pairs(fields)))),
    }
}

/// Nodes: those of the directory, and whoever is named by these, and so on.
async fn nodes(
    commands: &Commands,
    mut entries: BTreeMap<String, Entry>,
    facts: &mut Facts,
) -> Result<(), String> {
    let mut wanted: BTreeSet<String> = entries.keys().cloned().collect();
    let mut left_out = BTreeSet::new();
    while !wanted.is_empty() {
        let mut ids: Vec<String> = std::mem::take(&mut wanted).into_iter().collect();
        // Should there be too many, those count most that have the others below them.
        ids.sort_by_key(|id| entries.get(id).is_some_and(|entry| entry.node_type == NodeType::Egress));
        left_out.extend(ids.split_off(ids.len().min(MOST_NODES - facts.nodes.len())));
        for some in ids.chunks(AT_ONCE / 6) {
            let mut pipe = redis::pipe();
            for id in some {
                let of = [
                    field::node::TYPE,
                    field::node::TREE_ID,
                    field::node::STATUS,
                    field::node::HOST,
                    field::node::PORT,
                    field::node::ADMIN,
                ];
                pipe.cmd("HMGET").arg(key::node(id)).arg(&of);
                pipe.cmd("PTTL").arg(key::instance(id));
                pipe.cmd("SMEMBERS").arg(key::children(id));
                pipe.cmd("GET").arg(key::parent(id));
                pipe.cmd("SMEMBERS").arg(key::standby(id));
                pipe.cmd("SCARD").arg(key::mountpoints(id));
            }
            for (id, answer) in some.iter().zip(answers(commands, pipe, facts).await?.chunks(6)) {
                let [registration, instance, children, parent, standby, mountpoints] = answer else {
                    continue;
                };
                let node = NodeFacts {
                    entry: entries.remove(id),
                    registration: self::registration(registration, instance),
                    children: texts(children).filter(|name| is_name(name)).collect(),
                    parent: text(parent)
                        .map(|parent| parent.trim().to_owned())
                        .filter(|parent| is_name(parent)),
                    standby: texts(standby).filter(|name| is_name(name)).take(MOST_STANDBY).collect(),
                    mountpoints: number(mountpoints).try_into().unwrap_or(u32::MAX),
                };
                wanted.extend(node.children.iter().chain(&node.parent).chain(&node.standby).cloned());
                facts.nodes.insert(id.clone(), node);
            }
        }
        wanted.retain(|id| !facts.nodes.contains_key(id) && !left_out.contains(id));
    }
    facts.nodes_left_out = left_out.len();
    Ok(())
}

/// The egresses of the tree that carry each session.
async fn carriers(
    commands: &Commands,
    facts: &mut Facts,
) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let mut pipe = redis::pipe();
    pipe.cmd("SMEMBERS").arg(key::ACTIVE_MOUNTPOINTS);
    let [members] = run(commands, pipe, facts).await?;
    let mut carriers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for member in texts(&members) {
        // A name of a session has no colon in it.
        let Some((egress, session)) = member.rsplit_once(':') else { continue };
        if facts.nodes.contains_key(egress) {
            carriers.entry(session.to_owned()).or_default().insert(egress.to_owned());
        }
    }
    Ok(carriers)
}

async fn sessions(
    commands: &Commands,
    names: BTreeSet<String>,
    mut carriers: Option<BTreeMap<String, BTreeSet<String>>>,
    facts: &mut Facts,
) -> Result<(), String> {
    facts.sessions_left_out = names.len().saturating_sub(MOST_SESSIONS);
    let names: Vec<String> = names.into_iter().take(MOST_SESSIONS).collect();
    for some in names.chunks(AT_ONCE / 2) {
        let mut pipe = redis::pipe();
        for name in some {
            let of = [
                field::session::TREE_ID,
                field::session::INJECTION_NODE_ID,
                field::session::VIDEO_CODEC,
                field::session::CREATED_AT,
            ];
            pipe.cmd("HMGET").arg(key::session(name)).arg(&of);
            // One that carries it knows whether media comes.
            let carrier = carriers.as_ref().and_then(|all| all.get(name)?.first());
            let at = key::mountpoint(carrier.map_or("", |id| id), name);
            pipe.cmd("HMGET").arg(at).arg(&[field::mountpoint::ACTIVE]);
        }
        for (name, answer) in some.iter().zip(answers(commands, pipe, facts).await?.chunks(2)) {
            let [hash, active] = answer else { continue };
            let [tree, injection, codec, created] = row(hash);
            if tree.is_some_and(|tree| tree != facts.tree_id) {
                continue;
            }
            facts.sessions.push(SessionFacts {
                id: name.clone(),
                injection,
                codec,
                created: created.and_then(|created| created.parse().ok()),
                carriers: carriers.as_mut().map(|all| all.remove(name).unwrap_or_default()),
                is_live: row::<1>(active)[0].as_ref().map(|active| active == "true"),
            });
        }
    }
    Ok(())
}

/// `None`: it has expired, or never was.
fn registration(hash: &Value, instance: &Value) -> Option<RegistrationFacts> {
    let [node_type, tree_id, status, host, port, admin] = row(hash);
    if [&node_type, &tree_id, &status, &host].into_iter().all(Option::is_none) {
        return None;
    }
    let kinds = [NodeType::Injection, NodeType::Relay, NodeType::Egress];
    Some(RegistrationFacts {
        node_type: kinds.into_iter().find(|kind| node_type.as_deref() == Some(kind.name())),
        tree_id,
        status: status.map_or_else(|| "active".to_owned(), |status| status.chars().take(200).collect()),
        host,
        port: port.and_then(|port| port.trim().parse().ok()),
        admin: admin.filter(|admin| !admin.is_empty()),
        unheard: i64::from_redis_value(instance.clone()).ok().and_then(directory::unheard),
    })
}

async fn run<const N: usize>(
    commands: &Commands,
    pipe: Pipeline,
    facts: &mut Facts,
) -> Result<[Value; N], String> {
    let values = answers(commands, pipe, facts).await?;
    values.try_into().map_err(|_| "Redis gave another number of answers than it was asked for".to_owned())
}

/// One value for each command; a key of another type has nothing, nor one that may not be read, which is remembered.
async fn answers(commands: &Commands, mut pipe: Pipeline, facts: &mut Facts) -> Result<Vec<Value>, String> {
    pipe.ignore_errors();
    let results: Vec<RedisResult<Value>> = commands.run(&pipe).await?;
    let mut value = |result: RedisResult<Value>| match result {
        Ok(value) => Ok(value),
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(Value::Nil),
        Err(error) if error.code() == Some("NOPERM") => {
            facts.unread.get_or_insert(format!(
                "Redis does not let this user read all of it ({}); extend its ACL, see docs/operations.md, *In a tree*",
                error.detail().unwrap_or("NOPERM")
            ));
            Ok(Value::Nil)
        }
        Err(error) => Err(format!("the tree cannot be read: {error}; see docs/operations.md, *In a tree*")),
    };
    results.into_iter().map(&mut value).collect()
}

fn text(value: &Value) -> Option<String> {
    crate::redis::script::text(value)
}

fn texts(value: &Value) -> impl Iterator<Item = String> {
    let items: &[Value] = match value {
        Value::Array(items) => items,
        Value::Set(items) => items,
        _ => &[],
    };
    items.iter().filter_map(text)
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let all: Vec<String> = texts(value).collect();
    all.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

fn row<const N: usize>(value: &Value) -> [Option<String>; N] {
    let mut fields = match value {
        Value::Array(items) => items.iter().map(text).collect(),
        _ => Vec::new(),
    };
    fields.resize(N, None);
    let row: Result<[Option<String>; N], _> = fields.try_into();
    row.unwrap_or_else(|_| std::array::from_fn(|_| None))
}

fn number(value: &Value) -> u64 {
    u64::from_redis_value(value.clone()).unwrap_or_default()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
