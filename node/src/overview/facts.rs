//! What Redis says of a tree, as it was read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::directory::Entry;
use crate::record::NodeType;

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Which tree.
    pub tree_id: String,
    /// When it was read, ms since 1970.
    pub at: u64,
    /// Nodes that are in the directory, or somebody's child or parent, by name.
    pub nodes: BTreeMap<String, NodeFacts>,
    /// How many nodes there are besides, which were not read.
    pub nodes_left_out: usize,
    /// Sessions, sorted by name.
    pub sessions: Vec<SessionFacts>,
    /// How many there are besides, which were not read.
    pub sessions_left_out: usize,
    /// Why some of it could not be.
    pub unread: Option<String>,
}

/// A node.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    /// Its field of `directory:{treeId}`.
    pub entry: Option<Entry>,
    /// `node:{id}`; `None`: it has expired, or never was.
    pub registration: Option<RegistrationFacts>,
    /// `children:{id}`.
    pub children: BTreeSet<String>,
    /// `parent:{id}`.
    pub parent: Option<String>,
    /// `parents:{id}`.
    pub standby: BTreeSet<String>,
    /// How many sessions an egress has mountpoints for.
    pub mountpoints: u32,
}

impl NodeFacts {
    /// Its registration, if it is one of this tree's.
    pub fn registered_in(&self, tree_id: &str) -> Option<&RegistrationFacts> {
        let of = |tree: &Option<String>| tree.as_ref().is_none_or(|tree| tree == tree_id);
        self.registration.as_ref().filter(|registration| of(&registration.tree_id))
    }

    /// What it does, if that is known.
    pub fn node_type(&self) -> Option<NodeType> {
        let registered = self.registration.as_ref().and_then(|registration| registration.node_type);
        self.entry.as_ref().map(|entry| entry.node_type).or(registered)
    }
}

/// What matters here of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationFacts {
    /// What it does, if that can be read.
    pub node_type: Option<NodeType>,
    /// Its tree, if it says one: a node that was written by hand need not.
    pub tree_id: Option<String>,
    /// `active`, or why not.
    pub status: String,
    /// Where other nodes send media, if it was written.
    pub host: Option<String>,
    /// Its HTTP port, if it was written.
    pub port: Option<u16>,
    /// `HOST:PORT` of its HTTP for operators, if that is not at its host and port.
    pub admin: Option<String>,
    /// For how long nobody has heard of it, if that is known.
    pub unheard: Option<Duration>,
}

/// A session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFacts {
    /// Name.
    pub id: String,
    /// Its injection.
    pub injection: Option<String>,
    /// `vp8`, `h264`; `None`: nobody has published yet.
    pub codec: Option<String>,
    /// ms since 1970.
    pub created: Option<u64>,
    /// The egresses that carry it; `None`: there are too many mountpoints to look.
    pub carriers: Option<BTreeSet<String>>,
    /// Whether media of it arrives at an egress; `None`: no egress that could say so was asked.
    pub is_live: Option<bool>,
}
