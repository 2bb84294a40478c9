//! From the tree as its nodes say that it is to what is decided by. Pure.

use std::collections::{BTreeMap, BTreeSet};

use node::overview::facts::Facts;
use node::overview::make;

use crate::model::Node;

/// Its nodes.
pub fn nodes(facts: &Facts) -> Vec<Node> {
    let overview = make(facts);
    let node = |view: node::overview::NodeView| {
        let (packets_per_second, bits_per_second) =
            view.flow.map_or((0.0, 0.0), |flow| (flow.packet_rate(), flow.bit_rate()));
        Node {
            packets_per_second,
            bits_per_second,
            // It is asked how it is, and drained.
            url: view.operators().map(str::to_owned),
            id: view.id,
            role: view.node_type,
            parent: view.parent,
            standby: view.standby,
            state: view.state,
            viewers: view.viewers,
            max_viewers: view.max_viewers,
            zone: view.zone,
        }
    };
    overview.nodes.into_iter().map(node).collect()
}

/// Who carries which session, and why that is not known of all.
pub fn carriers(facts: &Facts) -> (BTreeMap<String, BTreeSet<String>>, Option<String>) {
    let mut carriers = BTreeMap::new();
    let mut unknown = None;
    for session in &facts.sessions {
        match &session.carriers {
            Some(nodes) if !nodes.is_empty() => drop(carriers.insert(session.id.clone(), nodes.clone())),
            Some(_) => {}
            None => {
                unknown = Some("there are too many mountpoints to read who carries which session".to_owned())
            }
        }
    }
    if facts.sessions_left_out > 0 {
        unknown = Some(format!("{} sessions more than are read", facts.sessions_left_out));
    }
    (carriers, unknown.or_else(|| facts.unread.clone()))
}
