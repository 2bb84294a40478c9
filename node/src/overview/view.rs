//! What is shown of a tree: `GET /tree`, and `relay-ctl tree --json`.

use serde::{Deserialize, Serialize};

use crate::flow::Flow;
use crate::record::NodeType;

/// A tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Name.
    pub tree_id: String,
    /// When it was read, ms since 1970.
    pub at: u64,
    /// There are no problems.
    pub healthy: bool,
    /// Viewers of all egresses.
    pub viewers: u64,
    /// Nodes, each behind its parent: as they are drawn.
    pub nodes: Vec<NodeView>,
    /// Who sends to whom, sorted.
    pub edges: Vec<Edge>,
    /// Sessions, sorted by name.
    pub sessions: Vec<SessionView>,
    /// What is wrong, each a sentence.
    pub problems: Vec<String>,
    /// What is worth knowing, each a sentence.
    pub notes: Vec<String>,
    /// What there is besides and is not shown, so that this has a sound size.
    pub left_out: LeftOut,
}

/// Numbers of what is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Nodes.
    pub nodes: usize,
    /// Sessions.
    pub sessions: usize,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It does its job.
    Ok,
    /// It does, and is nobody's child, or nobody's parent as an injection: nothing comes to it or goes from it.
    Unattached,
    /// As many watch as it takes.
    Full,
    /// It gives away whom it has.
    Draining,
    /// It cannot do its job, and says so.
    Degraded,
    /// No media reaches it.
    CutOff,
    /// Nobody has heard of it for some seconds.
    Doubtful,
    /// It was there.
    Gone,
    /// It is named and has not registered.
    Unknown,
}

impl State {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Unattached => "unattached",
            State::Full => "full",
            State::Draining => "draining",
            State::Degraded => "degraded",
            State::CutOff => "cut off",
            State::Doubtful => "doubtful",
            State::Gone => "gone",
            State::Unknown => "unknown",
        }
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// Name.
    pub id: String,
    /// What it does, if that is known.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<NodeType>,
    /// How it is.
    pub state: State,
    /// Why, each a sentence; empty when there is nothing to say.
    pub why: Vec<String>,
    /// How many edges it is below the node that it is drawn under.
    pub depth: usize,
    /// Its parent, as Redis has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Those that send to it beside its parent, as Redis has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
    /// Where it is reached by HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where operators reach it by HTTP, if not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<String>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// Viewers, of an egress.
    pub viewers: u32,
    /// Most viewers; 0: it is no egress, or has said nothing.
    pub max_viewers: u32,
    /// Sessions that an egress has mountpoints for.
    pub mountpoints: u32,
    /// What came to it in the last seconds; of an injection, what it sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
}

impl NodeView {
    /// Where it is asked for its status, drained and so on.
    pub fn operators(&self) -> Option<&str> {
        self.admin.as_deref().or(self.url.as_deref())
    }
}

/// How an edge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EdgeState {
    /// As it should be.
    Ok,
    /// The parent gets media and the child gets none.
    Silent,
    /// The two do not agree on it.
    OneSided,
}

/// One sends to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// Parent.
    pub from: String,
    /// Child.
    pub to: String,
    /// The parent stands by: it sends what the child's parent sends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standby: bool,
    /// How it is.
    pub state: EdgeState,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// RTP packets a second that the child gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets_per_second: Option<f64>,
    /// Bits a second of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_second: Option<f64>,
    /// The part of what the parent had that did not come, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// The same with what came only after it had been asked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_before_repair: Option<f64>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Name.
    pub session_id: String,
    /// Its injection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injection: Option<String>,
    /// What its picture is coded with, once somebody has published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_codec: Option<String>,
    /// ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<u64>,
    /// How many egresses that live carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egresses: Option<usize>,
    /// Whether media of it arrives at an egress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
    /// Its injection is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub orphan: bool,
}
