//! What is known of a tree when it is decided about: plain data, whoever read it, from a real tree or from a simulated one.

use std::collections::{BTreeMap, BTreeSet};

use node::overview::State;
use node::record::NodeType;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970. What is remembered outlives the process, so that no other clock would do.
pub type Ms = u64;

/// A tree, as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observation {
    /// Name of the tree.
    pub tree: String,
    /// When its nodes were read; `None`: they never could be, and nothing is decided.
    pub read: Option<Ms>,
    /// Why they could not be read this time. What was read before is in `nodes` still, and ages.
    pub problem: Option<String>,
    /// Its nodes, those that are gone and those that nobody has heard of among them.
    pub nodes: Vec<Node>,
    /// Who carries a session: names of egresses, by session. Of sessions that nobody carries there is none.
    pub carriers: BTreeMap<String, BTreeSet<String>>,
    /// Why that is not known of all sessions; then nobody can be said to carry none.
    pub carriers_unknown: Option<String>,
    /// What Prometheus says.
    pub figures: Figures,
    /// What the back end says that there is of this tree, by name; `None`: it does not answer.
    pub machines: Option<BTreeMap<String, Machine>>,
    /// Relays that new sub-trees may be put under: `relay-slots:{tree}:available`.
    pub slots: BTreeSet<String>,
}

/// A node of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Name.
    pub id: String,
    /// What it does; `None`: it has never registered.
    pub role: Option<NodeType>,
    /// Its parent, if any.
    pub parent: Option<String>,
    /// Those that send to it beside its parent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
    /// How it is.
    pub state: State,
    /// Viewers, of an egress.
    pub viewers: u32,
    /// Most viewers; 0: it is no egress, or has not said.
    pub max_viewers: u32,
    /// Where it stands; empty: nowhere in particular.
    pub zone: String,
    /// RTP packets a second that come to it, or that an injection sends.
    pub packets_per_second: f64,
    /// Bits a second of these.
    pub bits_per_second: f64,
    /// Where its HTTP is.
    pub url: Option<String>,
}

impl Node {
    /// Viewers can be sent there now: it is an egress, alive, in the tree, and gets media, or is merely full.
    pub fn serves(&self) -> bool {
        self.role == Some(NodeType::Egress) && matches!(self.state, State::Ok | State::Full)
    }

    /// More viewers that it takes.
    pub fn free(&self) -> u32 {
        if self.serves() { self.max_viewers.saturating_sub(self.viewers) } else { 0 }
    }
}

/// Something that the back end made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// What it is to do.
    pub role: NodeType,
    /// It runs; a cold slot is made and does not.
    pub running: bool,
    /// When it was made.
    pub created: Ms,
    /// Where it stands; empty: the back end does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zone: String,
}

/// What Prometheus says of a tree: the recording rules of deploy/monitoring. What is missing is not 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Figures {
    /// `tree:egress_cpu_utilization:avg5m`, 0 to 1.
    pub cpu: Option<Reading>,
    /// `tree:egress_memory_utilization:avg`, 0 to 1.
    pub memory: Option<Reading>,
    /// `tree:egress_port_pool_utilization_percent:max`, 0 to 100; with Janus only.
    pub port_pool: Option<Reading>,
    /// `tree:receive_drops:rate5m`, packets a second.
    pub drops: Option<Reading>,
    /// `node:overloaded:bool`: egresses with more than 90 % of CPU or memory in use, by name.
    pub overloaded: BTreeSet<String>,
    /// `tree:egresses_scraped:ratio`: below 1 the other figures are not of the whole tree.
    pub scraped: Option<Reading>,
    /// Why there are none.
    pub problem: Option<String>,
    /// Nobody wants any: no Prometheus was named. Only the tree's own figures count then.
    pub unwanted: bool,
}

/// A figure, and how old it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// The figure.
    pub value: f64,
    /// When it was measured.
    pub at: Ms,
}

impl Reading {
    /// The figure, unless it is older than that.
    pub fn within(&self, age_ms: u64, now: Ms) -> Option<f64> {
        (self.value.is_finite() && now.saturating_sub(self.at) <= age_ms).then_some(self.value)
    }
}
