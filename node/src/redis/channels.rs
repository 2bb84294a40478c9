//! What a node listens to, and what it makes of a message. Pure.

use crate::contract::{channel, key};
use crate::event::Event;
use crate::sessions::News;

/// The channels of one node.
#[derive(Clone, Debug)]
pub struct Channels {
    id: String,
    tree_id: String,
    /// `__keyspace@0__:`
    keyspace: String,
}

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Look at the topology.
    Look,
    /// See whether this child or parent is elsewhere now: its hash was written, which every node does all the time.
    Compare(String),
    /// Take in what happened to a session.
    News(News),
    /// Look at this session: the message says no more.
    Session(String),
    /// Weigh what the server tells of this set of sessions.
    Weigh(&'static str),
    /// Nothing.
    Nothing,
    /// Nothing, and it should not have been sent.
    Odd(String),
}

impl Channels {
    /// Those of a node in a database.
    pub fn new(id: &str, tree_id: &str, database: i64) -> Channels {
        Channels {
            id: id.to_owned(),
            tree_id: tree_id.to_owned(),
            keyspace: channel::keyspace_prefix(database),
        }
    }

    /// What others publish.
    pub fn published(&self) -> Vec<String> {
        let mut channels = vec![
            channel::topology(&self.id),
            channel::topology(&self.tree_id),
            channel::tree_sessions(&self.tree_id),
        ];
        channels.dedup();
        channels
    }

    /// What the server says about the node's own keys.
    pub fn own_keys(&self) -> Vec<String> {
        let id = &self.id;
        let sets = [key::ACTIVE_SESSIONS, key::INDEXED_SESSIONS].map(str::to_owned);
        let own = [key::children(id), key::parent(id), key::standby(id), key::node(id)];
        own.into_iter().chain(sets).map(|key| format!("{}{key}", self.keyspace)).collect()
    }

    /// What the server says about a child's or the parent's registration.
    pub fn relative(&self, child: &str) -> String {
        format!("{}{}", self.keyspace, key::node(child))
    }

    /// What a message means.
    pub fn heard(&self, channel: &str, message: &[u8]) -> Asks {
        match channel.strip_prefix(&self.keyspace) {
            Some(key) => self.key_changed(key, message),
            None => match Event::parse(message) {
                Ok(event) => match event.session().map(str::to_owned) {
                    Some(id) => event.news(&self.tree_id).map_or(Asks::Session(id), Asks::News),
                    None => Asks::Look,
                },
                Err(why) => Asks::Odd(why.to_string()),
            },
        }
    }

    fn key_changed(&self, changed: &str, event: &[u8]) -> Asks {
        // A time to live says nothing about what is in a key.
        if matches!(event, b"expire" | b"persist") {
            return Asks::Nothing;
        }
        for set in [key::ACTIVE_SESSIONS, key::INDEXED_SESSIONS] {
            if changed == set {
                return Asks::Weigh(set);
            }
        }
        match changed.strip_prefix(key::NODE_PREFIX) {
            // We wrote it ourselves.
            Some(id) if id == self.id && event == b"hset" => Asks::Nothing,
            Some(id) if id != self.id && event == b"hset" => Asks::Compare(id.to_owned()),
            _ => Asks::Look,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::SessionChange;

    #[test]
    fn what_a_message_means() {
        let channels = Channels::new("relay-1", "tree-1", 3);
        let table: [(&str, &[u8], Asks); 17] = [
            ("__keyspace@3__:children:relay-1", b"sadd", Asks::Look),
            ("__keyspace@3__:children:relay-1", b"del", Asks::Look),
            ("__keyspace@3__:parent:relay-1", b"set", Asks::Look),
            ("__keyspace@3__:parent:relay-1", b"expire", Asks::Nothing),
            ("__keyspace@3__:parents:relay-1", b"srem", Asks::Look),
            ("__keyspace@3__:node:relay-1", b"hset", Asks::Nothing),
            ("__keyspace@3__:node:relay-1", b"expire", Asks::Nothing),
            ("__keyspace@3__:node:relay-1", b"expired", Asks::Look),
            ("__keyspace@3__:node:egress-1", b"hset", Asks::Compare("egress-1".to_owned())),
            ("__keyspace@3__:node:egress-1", b"expire", Asks::Nothing),
            ("__keyspace@3__:node:egress-1", b"expired", Asks::Look),
            ("__keyspace@3__:sessions:active", b"srem", Asks::Weigh(key::ACTIVE_SESSIONS)),
            (
                "__keyspace@3__:sessions:indexed:{sessions:active}",
                b"srem",
                Asks::Weigh(key::INDEXED_SESSIONS),
            ),
            ("topology:tree-1", br#"{"type":"topology-reset"}"#, Asks::Look),
            (
                "sessions:tree:tree-1",
                br#"{"type":"session-created","sessionId":"s","treeId":"tree-1"}"#,
                Asks::Session("s".to_owned()),
            ),
            (
                "sessions:tree:tree-1",
                br#"{"version":8,"after":7,"type":"session-destroyed","sessionId":"s","treeId":"tree-1"}"#,
                Asks::News(News { version: 8, after: 7, change: SessionChange::Ended("s".to_owned()) }),
            ),
            ("topology:relay-1", br#"{"type":"child-added","nodeId":"relay-1","childId":"a"}"#, Asks::Look),
        ];
        for (channel, message, wanted) in table {
            assert_eq!(channels.heard(channel, message), wanted, "{channel}");
        }
        assert!(matches!(channels.heard("topology:relay-1", b"hello"), Asks::Odd(_)));
    }

    #[test]
    fn a_node_that_is_called_like_its_tree_listens_once() {
        assert_eq!(
            Channels::new("a", "a", 0).published(),
            ["topology:a".to_owned(), "sessions:tree:a".to_owned()]
        );
    }
}
