//! What is published about a tree. The keys are the truth: an event only says "look now", so all that is decided here is
//! whether it is one. Where which is published: [`crate::contract::channel`]; as JSON: docs/contract.md, *Channels*.

use serde::{Deserialize, Serialize};

/// An event of `topology:{nodeId}`, `topology:{treeId}`, `sessions:tree:{treeId}` or `sessions:node:{nodeId}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// A child was put in a node's set.
    ChildAdded {
        /// The parent's node id.
        node_id: String,
        /// The child's node id.
        child_id: String,
    },
    /// A child was taken out.
    ChildRemoved {
        /// The parent's node id.
        node_id: String,
        /// The child's node id.
        child_id: String,
    },
    /// Several were put in.
    ChildrenAdded {
        /// The parent's node id.
        node_id: String,
        /// The children's node ids.
        child_ids: Vec<String>,
    },
    /// Several were taken out.
    ChildrenRemoved {
        /// The parent's node id.
        node_id: String,
        /// The children's node ids.
        child_ids: Vec<String>,
    },
    /// A node has another parent, or none.
    ParentChanged {
        /// The child's node id.
        node_id: String,
        /// The parent's node id.
        new_parent: Option<String>,
    },
    /// Everything may be different.
    TopologyReset,
    /// A session began.
    SessionCreated {
        /// Its name.
        session_id: String,
        /// Its tree.
        tree_id: String,
    },
    /// A session ended.
    SessionDestroyed {
        /// Its name.
        session_id: String,
        /// Its tree.
        tree_id: String,
    },
}

impl Event {
    /// Reads a message. An error says what is wrong with it.
    pub fn parse(message: &[u8]) -> Result<Event, serde_json::Error> {
        serde_json::from_slice(message)
    }

    /// The message to publish.
    pub fn message(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_the_contract_is_understood() {
        let (node_id, child_id) = ("relay-1".to_owned(), "egress-2".to_owned());
        let child_ids = vec![child_id.clone(), "egress-3".to_owned()];
        let (session_id, tree_id) = ("s1".to_owned(), "tree-1".to_owned());
        let table = [
            (
                r#"{"type":"child-added","nodeId":"relay-1","childId":"egress-2"}"#,
                Event::ChildAdded { node_id: node_id.clone(), child_id: child_id.clone() },
            ),
            (
                r#"{"type":"child-removed","nodeId":"relay-1","childId":"egress-2","at":7}"#,
                Event::ChildRemoved { node_id: node_id.clone(), child_id },
            ),
            (
                r#"{"type":"children-added","nodeId":"relay-1","childIds":["egress-2","egress-3"]}"#,
                Event::ChildrenAdded { node_id: node_id.clone(), child_ids: child_ids.clone() },
            ),
            (
                r#"{"type":"children-removed","nodeId":"relay-1","childIds":["egress-2","egress-3"]}"#,
                Event::ChildrenRemoved { node_id: node_id.clone(), child_ids },
            ),
            (
                r#"{"type":"parent-changed","nodeId":"relay-1","newParent":"relay-0"}"#,
                Event::ParentChanged { node_id: node_id.clone(), new_parent: Some("relay-0".to_owned()) },
            ),
            (
                r#"{"type":"parent-changed","nodeId":"relay-1","newParent":null}"#,
                Event::ParentChanged { node_id, new_parent: None },
            ),
            (r#"{"type":"topology-reset"}"#, Event::TopologyReset),
            (
                r#"{"type":"session-created","sessionId":"s1","treeId":"tree-1"}"#,
                Event::SessionCreated { session_id: session_id.clone(), tree_id: tree_id.clone() },
            ),
            (
                r#"{"type":"session-destroyed","sessionId":"s1","treeId":"tree-1"}"#,
                Event::SessionDestroyed { session_id, tree_id },
            ),
        ];
        for (message, wanted) in table {
            assert_eq!(Event::parse(message.as_bytes()).unwrap(), wanted, "{message}");
            assert_eq!(Event::parse(wanted.message().as_bytes()).unwrap(), wanted, "{}", wanted.message());
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for message in [
            "",
            "{",
            "look now",
            "[]",
            r#"{"nodeId":"relay-1"}"#,
            r#"{"type":"child-eaten","nodeId":"relay-1","childId":"a"}"#,
            r#"{"type":"child-added","nodeId":"relay-1"}"#,
            r#"{"type":"children-added","nodeId":"relay-1","childIds":"a"}"#,
            "\u{fffd}",
        ] {
            assert!(Event::parse(message.as_bytes()).is_err(), "{message}");
        }
        assert!(Event::parse(b"\xff\xfe").is_err());
    }
}
