//! The shell around [`crate::topology`]: connects to Redis, registers, listens, reads, and has the node carry out what
//! follows.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::record::Place;
use crate::topology::{Command, TopologyView};

/// What a node does with its place in the tree.
pub trait Follows: Send + Sync + 'static {
    /// The children that it has at present, as they were given to it.
    fn have(&self) -> impl Future<Output = BTreeMap<String, Place>> + Send;

    /// Carries out commands, all at once as far as it can. `seen`: when the first event came that led to them. What
    /// cannot be done is said in the node's own status; the next look gives the same command again.
    fn carry_out(&self, commands: Vec<Command>, seen: Instant) -> impl Future<Output = ()> + Send;

    /// The sessions of the tree, whenever they may have changed.
    fn sessions(&self, sessions: Vec<Session>) -> impl Future<Output = ()> + Send;

    /// `active`, or why the node cannot do its job, for its registration.
    fn health(&self) -> impl Future<Output = String> + Send;
}

/// A session of the tree, as `session:{sid}` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `sessionId`.
    pub id: String,
    /// `audioSsrc`.
    pub audio_ssrc: u32,
    /// `videoSsrc`.
    pub video_ssrc: u32,
}

/// How it stands between a node and Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisView {
    /// Where, without any secret.
    pub server: String,
    /// The last look succeeded, and the next is expected to.
    pub connected: bool,
    /// What is wrong: not reachable, slow, wrong password, read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Keyspace notifications come, so that a plain SADD takes effect at once.
    pub notifications: bool,
    /// Why they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications_problem: Option<String>,
    /// The node's own registration has been written and has not expired.
    pub registered: bool,
    /// Looks at the topology since the start.
    pub looks: u64,
    /// Events that said "look now".
    pub events: u64,
    /// Times that the connection was made again.
    pub reconnects: u64,
}

/// Everything that a node shows of its place in the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeView {
    /// Topology.
    pub topology: TopologyView,
    /// Redis.
    pub redis: RedisView,
}
