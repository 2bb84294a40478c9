//! What is published about a tree. The keys are the truth: an event only says "look now", so all that is decided here is
//! whether it is one. Where which is published: [`crate::contract::channel`]; as JSON: docs/contract.md, *Channels*.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::media::{PerKind, Ssrc};
use crate::sessions::{News, Session, SessionChange};

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
    /// Another sends to a node beside its parent.
    StandbyAdded {
        /// The child's node id.
        node_id: String,
        /// The standby parent's node id.
        parent_id: String,
    },
    /// It does no more.
    StandbyRemoved {
        /// The child's node id.
        node_id: String,
        /// The standby parent's node id.
        parent_id: String,
    },
    /// Everything may be different.
    TopologyReset,
    /// A session began, or is different now.
    SessionCreated {
        /// Its name.
        session_id: String,
        /// Its tree.
        tree_id: String,
        /// Which change of the tree's sessions it is.
        #[serde(default, deserialize_with = "if_sound", skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
        /// Which one came before it.
        #[serde(default, deserialize_with = "if_sound", skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
        /// What it is.
        #[serde(default, deserialize_with = "if_sound", skip_serializing_if = "Option::is_none")]
        session: Option<Payload>,
    },
    /// A session ended.
    SessionDestroyed {
        /// Its name.
        session_id: String,
        /// Its tree.
        tree_id: String,
        /// Which change of the tree's sessions it is.
        #[serde(default, deserialize_with = "if_sound", skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
        /// Which one came before it.
        #[serde(default, deserialize_with = "if_sound", skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
    },
}

/// What an event says of a session: all that nodes other than its injection need of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    /// SSRC of the audio.
    pub audio_ssrc: Ssrc,
    /// SSRC of the video.
    pub video_ssrc: Ssrc,
    /// Room in Janus.
    pub room_id: u64,
    /// `vp8` or `h264`, once somebody has published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_codec: Option<String>,
}

/// What says nothing is as good as absent: then the keys are read.
fn if_sound<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(from)?).ok())
}

impl Event {
    /// A session began, or is different now. Its version is put in by the script that counts.
    pub fn session_created(tree_id: &str, session_id: &str, session: Payload) -> Event {
        let (session_id, tree_id) = (session_id.to_owned(), tree_id.to_owned());
        Event::SessionCreated { session_id, tree_id, version: None, after: None, session: Some(session) }
    }

    /// A session ended.
    pub fn session_destroyed(tree_id: &str, session_id: &str) -> Event {
        let (session_id, tree_id) = (session_id.to_owned(), tree_id.to_owned());
        Event::SessionDestroyed { session_id, tree_id, version: None, after: None }
    }

    /// The session that it is about, if it is about one.
    pub fn session(&self) -> Option<&str> {
        match self {
            Event::SessionCreated { session_id, .. } | Event::SessionDestroyed { session_id, .. } => {
                Some(session_id)
            }
            _ => None,
        }
    }

    /// What an event about a session of this tree says, if it says everything.
    pub fn news(self, tree: &str) -> Option<News> {
        match self {
            Event::SessionCreated { session_id, tree_id, version, after, session } if tree_id == tree => {
                let Payload { audio_ssrc, video_ssrc, room_id, video_codec } = session?;
                let ssrcs = PerKind { audio: audio_ssrc, video: video_ssrc };
                let session = Session { id: session_id, ssrcs, room_id: Some(room_id), video_codec };
                Some(News { version: version?, after: after?, change: SessionChange::Is(session) })
            }
            Event::SessionDestroyed { session_id, tree_id, version, after } if tree_id == tree => {
                Some(News { version: version?, after: after?, change: SessionChange::Ended(session_id) })
            }
            _ => None,
        }
    }

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
        let parent_id = "relay-2".to_owned();
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
                Event::ParentChanged { node_id: node_id.clone(), new_parent: None },
            ),
            (
                r#"{"type":"standby-added","nodeId":"relay-1","parentId":"relay-2"}"#,
                Event::StandbyAdded { node_id: node_id.clone(), parent_id: parent_id.clone() },
            ),
            (
                r#"{"type":"standby-removed","nodeId":"relay-1","parentId":"relay-2"}"#,
                Event::StandbyRemoved { node_id, parent_id },
            ),
            (r#"{"type":"topology-reset"}"#, Event::TopologyReset),
            (
                r#"{"type":"session-created","sessionId":"s1","treeId":"tree-1"}"#,
                Event::SessionCreated {
                    session_id: session_id.clone(),
                    tree_id: tree_id.clone(),
                    version: None,
                    after: None,
                    session: None,
                },
            ),
            (
                r#"{"type":"session-destroyed","sessionId":"s1","treeId":"tree-1","version":8,"after":7}"#,
                Event::SessionDestroyed { session_id, tree_id, version: Some(8), after: Some(7) },
            ),
        ];
        for (message, wanted) in table {
            assert_eq!(Event::parse(message.as_bytes()).unwrap(), wanted, "{message}");
            assert_eq!(Event::parse(wanted.message().as_bytes()).unwrap(), wanted, "{}", wanted.message());
        }
    }

    #[test]
    fn a_session_s_event_says_everything_or_only_its_name() {
        let session = r#"{"audioSsrc":1,"videoSsrc":4294967295,"roomId":5}"#;
        let event = |rest: &str| {
            let message = format!(r#"{{"type":"session-created","sessionId":"s1","treeId":"t"{rest}}}"#);
            Event::parse(message.as_bytes()).expect(&message)
        };
        let whole = event(&format!(r#","version":8,"after":0,"session":{session}"#));
        let news = whole.clone().news("t").unwrap();
        assert_eq!((news.version, news.after, news.change.id()), (8, 0, "s1"));
        assert_eq!(whole.news("another tree"), None);
        for rest in [
            String::new(),
            format!(r#","version":8,"session":{session}"#),
            format!(r#","version":"x","after":7,"session":{session}"#),
            format!(r#","version":-1,"after":7,"session":{session}"#),
            r#","version":8,"after":7"#.to_owned(),
            r#","version":8,"after":7,"session":[]"#.to_owned(),
            r#","version":8,"after":7,"session":{"audioSsrc":0,"videoSsrc":"many","roomId":5}"#.to_owned(),
        ] {
            assert_eq!(event(&rest).news("t"), None, "{rest}");
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
