//! What scalers keep in Redis: who leads in a tree, what it does and how far that is, what was done, what is remembered. Whatever is
//! written is written only as long as the lease is the writer's own.
//!
//! | file | job |
//! |---|---|
//! | `lease.rs` | one scaler leads in a tree, and knows when it does no more |
//! | `batch.rs` | what is written at one moment |
//! | `entry.rs` | an entry of the stream |
//! | `script.rs` | what Redis does at once |

mod batch;
mod entry;
mod lease;
mod script;

use std::collections::BTreeMap;

use node::commands::Commands;
use node::config::{RedisConfig, RedisServer};
use node::contract::key;
use redis::{Cmd, Value};
use serde::de::DeserializeOwned;

use crate::action::Action;
use crate::decide::Memory;
use crate::model::Ms;
pub use batch::{Batch, Running};
pub use entry::Entry;
pub use lease::{Lease, Reign};
pub use script::IF;

/// The journal of one tree.
pub struct Journal {
    commands: Commands,
    tree: String,
    /// This process, in the lease.
    me: String,
    is_cluster: bool,
}

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritten {
    /// Another scaler leads now.
    #[error("another scaler leads")]
    Fenced,
    /// Redis does not answer, or refuses.
    #[error("{0}")]
    Redis(String),
}

/// All that is kept of a tree, but the stream.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Who leads, if anybody does.
    pub leader: Option<String>,
    /// Actions that are not done yet, by name.
    pub running: BTreeMap<String, Running>,
    /// Actions that wait for somebody's word, by name.
    pub proposed: BTreeMap<String, Action>,
    /// That word: whether they may be done.
    pub approvals: BTreeMap<String, bool>,
    /// What is remembered.
    pub memory: Memory,
    /// What is wanted of the tree, as JSON, if that is in Redis.
    pub settings: Option<String>,
    /// What could not be read of it, in words.
    pub unreadable: Vec<String>,
}

/// Commands about one key, which may be in any slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AboutKey {
    /// The key.
    pub key: String,
    /// Each with its words.
    pub commands: Vec<Vec<String>>,
}

impl Journal {
    /// Of a tree. `me`: a name that no other process has. Nothing is connected yet.
    pub fn new(redis: &RedisConfig, tree: &str, me: &str) -> Journal {
        Journal {
            is_cluster: matches!(redis.server, RedisServer::Cluster { .. }),
            commands: Commands::new(redis.clone()),
            tree: tree.to_owned(),
            me: me.to_owned(),
        }
    }

    /// This process, in the lease.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// The tree.
    pub fn tree(&self) -> &str {
        &self.tree
    }

    /// The connection, for what else is to be read.
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// Takes the lease, or keeps it. Gives the fence, or who else leads.
    pub async fn take(&self, ttl_ms: u64, now: Ms) -> Result<Result<u64, String>, String> {
        let mut take = eval(script::TAKE, &[key::scaler_leader(&self.tree), key::scaler_fence(&self.tree)]);
        take.arg(&self.me).arg(ttl_ms).arg(now);
        let (owner, fence): (Vec<u8>, u64) = self.run(take).await?;
        Ok(if owner == self.me.as_bytes() { Ok(fence) } else { Err(text(&owner)) })
    }

    /// Who leads, if anybody does.
    pub async fn leader(&self) -> Result<Option<String>, String> {
        let mut get = redis::cmd("HGET");
        get.arg(key::scaler_leader(&self.tree)).arg("owner");
        let owner: Option<Vec<u8>> = self.run(get).await?;
        Ok(owner.map(|owner| text(&owner)))
    }

    /// Gives the lease back.
    pub async fn leave(&self, fence: u64) -> Result<(), String> {
        let mut leave = eval(script::LEAVE, &[key::scaler_leader(&self.tree)]);
        leave.arg(&self.me).arg(fence);
        self.run::<Value>(leave).await.map(drop)
    }

    /// Writes all of it at one moment.
    pub async fn write(&self, fence: u64, batch: &Batch) -> Result<(), Unwritten> {
        self.write_at_once(fence, &batch.commands).await
    }

    /// Writes what is about keys of the topology, and then publishes: at one moment, but in a Cluster key by key, in this order.
    pub async fn write_topology(
        &self,
        fence: u64,
        about: &[AboutKey],
        published: &[Vec<String>],
    ) -> Result<(), Unwritten> {
        if !self.is_cluster {
            let commands = about.iter().flat_map(|about| &about.commands).chain(published);
            return self.write_at_once(fence, &commands.cloned().collect::<Vec<_>>()).await;
        }
        // Whether the lease is ours, to begin with.
        self.write_at_once(fence, &[]).await?;
        for AboutKey { key, commands } in about {
            let mut write = eval(script::WRITE_BESIDE, &[key::scaler_fence_beside(key), key.clone()]);
            write.arg(fence).arg(as_json(commands));
            self.fenced(write).await?;
        }
        for words in published {
            let mut publish = redis::cmd(&words[0]);
            publish.arg(&words[1..]);
            self.run::<Value>(publish).await.map_err(Unwritten::Redis)?;
        }
        Ok(())
    }

    async fn write_at_once(&self, fence: u64, commands: &[Vec<String>]) -> Result<(), Unwritten> {
        let mut keys = vec![key::scaler_leader(&self.tree)];
        for words in commands {
            // A channel is no key.
            if words[0] != "PUBLISH" && !keys.contains(&words[1]) {
                keys.push(words[1].clone());
            }
        }
        let mut write = eval(script::WRITE, &keys);
        write.arg(&self.me).arg(fence).arg(as_json(commands));
        self.fenced(write).await
    }

    async fn fenced(&self, write: Cmd) -> Result<(), Unwritten> {
        match self.run::<bool>(write).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unwritten::Fenced),
            Err(why) => Err(Unwritten::Redis(why)),
        }
    }

    /// All that is kept.
    pub async fn read(&self) -> Result<Kept, String> {
        let tree = &self.tree;
        let mut pipe = redis::pipe();
        pipe.cmd("HGET").arg(key::scaler_leader(tree)).arg("owner");
        pipe.cmd("HGETALL").arg(key::scaler_running(tree));
        pipe.cmd("HGETALL").arg(key::scaler_proposed(tree));
        pipe.cmd("HGETALL").arg(key::scaler_approvals(tree));
        pipe.cmd("GET").arg(key::scaler_memory(tree));
        pipe.cmd("GET").arg(key::scaler_settings(tree));
        // Not text, for now: what somebody else has written there need not be any.
        type Text = Option<Vec<u8>>;
        type Texts = BTreeMap<Vec<u8>, Vec<u8>>;
        type All = (Text, Texts, Texts, Texts, Text, Text);
        let (leader, running, proposed, approvals, memory, settings): All = self.commands.run(&pipe).await?;
        let mut unreadable = Vec::new();
        let running = parsed(running, "running", &mut unreadable, |id, running: &Running| {
            running.action.check(id, tree)
        });
        let proposed =
            parsed(proposed, "proposed", &mut unreadable, |id, action: &Action| action.check(id, tree));
        // What an older scaler remembered is of no use to a newer one that does not understand it.
        let memory = memory.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let approvals = approvals.into_iter().map(|(id, word)| (text(&id), word == b"approved")).collect();
        let (leader, settings) =
            (leader.map(|leader| text(&leader)), settings.map(|settings| text(&settings)));
        Ok(Kept { leader, running, proposed, approvals, memory, settings, unreadable })
    }

    /// What was done last, the latest first.
    pub async fn history(&self, count: usize) -> Result<Vec<Entry>, String> {
        let mut range = redis::cmd("XREVRANGE");
        range.arg(key::scaler_actions(&self.tree)).arg("+").arg("-").arg("COUNT").arg(count);
        // Not text, for now, as above.
        let entries: Vec<(Vec<u8>, Vec<Vec<u8>>)> = self.run(range).await?;
        let as_text = |(_, fields): (_, Vec<Vec<u8>>)| fields.iter().map(|field| text(field)).collect();
        let entries = entries.into_iter().map(as_text);
        let mut entries: Vec<Entry> =
            entries.filter_map(|fields: Vec<String>| Entry::read(&fields)).collect();
        // One may be there twice, if a connection ended while it was written.
        entries.dedup();
        Ok(entries)
    }

    /// Says whether an action may be done: whoever leads does so at its next look.
    pub async fn approve(&self, id: &str, may: bool) -> Result<(), String> {
        let mut set = redis::cmd("HSET");
        set.arg(key::scaler_approvals(&self.tree)).arg(id).arg(if may { "approved" } else { "refused" });
        self.run::<Value>(set).await.map(drop)
    }

    async fn run<T: redis::FromRedisValue>(&self, command: Cmd) -> Result<T, String> {
        let mut pipe = redis::pipe();
        pipe.add_command(command);
        let (answer,): (T,) = self.commands.run(&pipe).await?;
        Ok(answer)
    }
}

fn parsed<T: DeserializeOwned>(
    texts: BTreeMap<Vec<u8>, Vec<u8>>,
    what: &str,
    unreadable: &mut Vec<String>,
    check: impl Fn(&str, &T) -> Result<(), String>,
) -> BTreeMap<String, T> {
    let read = |(id, json): (Vec<u8>, Vec<u8>)| {
        let id = text(&id);
        let value = serde_json::from_slice(&json).map_err(|error| error.to_string());
        match value.and_then(|value| check(&id, &value).map(|()| value)) {
            Ok(value) => Some((id, value)),
            Err(why) => {
                unreadable.push(format!("{what} action {}: {}", id.escape_debug(), why.escape_debug()));
                None
            }
        }
    };
    texts.into_iter().filter_map(read).collect()
}

/// What is no UTF-8 is no name that a scaler has given, and as good as another.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn as_json(commands: &[Vec<String>]) -> String {
    serde_json::to_string(commands).unwrap_or_default()
}

fn eval(script: &str, keys: &[String]) -> Cmd {
    let mut eval = redis::cmd("EVAL");
    eval.arg(script).arg(keys.len()).arg(keys);
    eval
}
