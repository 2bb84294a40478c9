//! `relay-ctl tree`: a whole tree, from any machine that reaches its Redis or one of its nodes.
//!
//! | file | job |
//! |---|---|
//! | `source.rs` | from Redis, or from a node |
//! | `draw.rs` | the tree, its sessions and what is wrong, for people; without I/O |
//! | `drain.rs` | a node is emptied, or serves again |
//! | `attaching.rs` | a node becomes somebody's child, or nobody's |
//! | `standby.rs` | somebody stands by for a node, or nobody |
//! | `moving.rs` | a node gets another parent: which steps, without I/O, and takes them |
//! | `targets/` | whom a Prometheus has to ask |
//! | `doctor.rs` | asks every node what ails it |

mod attaching;
mod doctor;
mod drain;
mod draw;
mod moving;
mod source;
mod standby;
pub mod targets;

pub use attaching::{Placed, Unplaced, attach, detach};
pub use doctor::examine;
pub use drain::{Emptying, drain};
pub use draw::{Paint, overview, sessions, standing};
pub use moving::{Moved, move_node};
pub use source::Source;
pub use standby::{stand_by, stand_down};

use node::overview::{NodeView, Overview};

/// A node of the tree, by its name.
fn find<'a>(overview: &'a Overview, id: &str) -> Result<&'a NodeView, String> {
    let found = overview.nodes.iter().find(|node| node.id == id);
    found.ok_or_else(|| {
        let names: Vec<&str> = overview.nodes.iter().map(|node| node.id.as_str()).take(20).collect();
        format!("{} has no node {id}; it has {}", overview.tree_id, names.join(", "))
    })
}

#[cfg(test)]
mod samples {
    use node::overview::{Edge, EdgeState, NodeView, Overview, SessionView, State};
    use node::record::NodeType;

    pub fn node(node_type: NodeType, id: &str, parent: Option<&str>, depth: usize) -> NodeView {
        NodeView {
            id: id.to_owned(),
            node_type: Some(node_type),
            state: State::Ok,
            why: Vec::new(),
            depth,
            parent: parent.map(str::to_owned),
            standby: Vec::new(),
            url: Some(format!("http://{id}:7000")),
            admin: None,
            zone: String::new(),
            viewers: 0,
            max_viewers: 0,
            mountpoints: 0,
            flow: None,
        }
    }

    /// `i` above `r1`, which is above `e1`, `r2` and below that `e2`.
    pub fn tree() -> Overview {
        let nodes = vec![
            node(NodeType::Injection, "i", None, 0),
            node(NodeType::Relay, "r1", Some("i"), 1),
            NodeView { viewers: 12, max_viewers: 300, ..node(NodeType::Egress, "e1", Some("r1"), 2) },
            node(NodeType::Relay, "r2", Some("r1"), 2),
            node(NodeType::Egress, "e2", Some("r2"), 3),
        ];
        let edge = |node: &NodeView| {
            Some(Edge {
                from: node.parent.clone()?,
                to: node.id.clone(),
                standby: false,
                state: EdgeState::Ok,
                why: None,
                packets_per_second: Some(2040.4),
                bits_per_second: Some(1_480_000.0),
                loss: Some(0.0),
                loss_before_repair: Some(0.0),
            })
        };
        let session = SessionView {
            session_id: "show".to_owned(),
            injection: Some("i".to_owned()),
            video_codec: Some("vp8".to_owned()),
            created_at: None,
            egresses: Some(2),
            live: Some(true),
            orphan: false,
        };
        Overview {
            tree_id: "tree-1".to_owned(),
            healthy: true,
            viewers: 12,
            edges: nodes.iter().filter_map(edge).collect(),
            nodes,
            sessions: vec![session],
            ..Overview::default()
        }
    }
}
