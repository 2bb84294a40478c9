//! What is written in Redis when a node gets a parent, another one, or none: which keys change, and the event about each, for servers
//! without keyspace notifications. Who gets whom, and what comes when, others decide: [`crate::drain::handover`], `relay-ctl tree`, the
//! scaler. These change the keys and publish at one moment; the scaler does so by a script that looks at its lease first.

use std::fmt;

use redis::Pipeline;

use crate::contract::{channel, key};
use crate::event::Event;

/// Whether a key still is what it was. Somebody may have typed it with a line's end. KEYS: key. ARGV: that, what it becomes
macro_rules! if_it_was {
    ($then:literal) => {
        concat!(
            "local is = redis.call('GET', KEYS[1])\n",
            "if is and string.match(is, '^%s*(.-)%s*$') == ARGV[1] then ",
            $then,
            " end\nreturn 0"
        )
    };
}
/// Names another parent.
const SET: &str = if_it_was!("redis.call('SET', KEYS[1], ARGV[2])");
/// Forgets a parent.
const DELETE: &str = if_it_was!("redis.call('DEL', KEYS[1])");

/// One thing that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// These are put among a node's children.
    Give {
        /// The node.
        to: String,
        /// Names.
        children: Vec<String>,
    },
    /// A child's parent is this one from now on.
    Point {
        /// The child.
        child: String,
        /// Only if its parent so far is still this one.
        from: Option<String>,
        /// The parent.
        to: String,
    },
    /// Another sends to a child beside its parent from now on.
    Stand {
        /// The child.
        child: String,
        /// The standby parent.
        parent: String,
    },
    /// It does no more.
    Unstand {
        /// The child.
        child: String,
        /// The standby parent.
        parent: String,
    },
    /// These are taken from a node's children.
    Leave {
        /// The node.
        of: String,
        /// Names.
        children: Vec<String>,
    },
    /// A node is taken from its parent's children, and has no parent any more.
    Retire {
        /// The node.
        node: String,
        /// Its parent.
        parent: String,
    },
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Members come into a set.
    Add {
        /// The set.
        key: String,
        /// Members.
        members: Vec<String>,
    },
    /// Members go out of a set.
    Remove {
        /// The set.
        key: String,
        /// Members.
        members: Vec<String>,
    },
    /// A key has a value from now on.
    Set {
        /// The key.
        key: String,
        /// Only if it still has this one.
        was: Option<String>,
        /// The value.
        value: String,
    },
    /// A key goes, if it still has a value.
    Delete {
        /// The key.
        key: String,
        /// That value.
        was: String,
    },
}

impl Write {
    /// The keys that change, in this order.
    pub fn changes(&self) -> Vec<Change> {
        let change = match self {
            Write::Give { to, children } => Change::Add { key: key::children(to), members: children.clone() },
            Write::Point { child, from, to } => {
                Change::Set { key: key::parent(child), was: from.clone(), value: to.clone() }
            }
            Write::Stand { child, parent } => {
                Change::Add { key: key::standby(child), members: vec![parent.clone()] }
            }
            Write::Unstand { child, parent } => {
                Change::Remove { key: key::standby(child), members: vec![parent.clone()] }
            }
            Write::Leave { of, children } => {
                Change::Remove { key: key::children(of), members: children.clone() }
            }
            // What names the parent goes last, so that who does this again finds whose it was.
            Write::Retire { node, parent } => {
                let leave = Change::Remove { key: key::children(parent), members: vec![node.clone()] };
                return vec![leave, Change::Delete { key: key::parent(node), was: parent.clone() }];
            }
        };
        vec![change]
    }

    /// What is published, and in which channels.
    pub fn events(&self) -> Vec<(String, Event)> {
        let (about, event) = match self {
            Write::Give { to, children } => {
                (to, Event::ChildrenAdded { node_id: to.clone(), child_ids: children.clone() })
            }
            Write::Point { child, to, .. } => {
                (child, Event::ParentChanged { node_id: child.clone(), new_parent: Some(to.clone()) })
            }
            Write::Stand { child, parent } => {
                (child, Event::StandbyAdded { node_id: child.clone(), parent_id: parent.clone() })
            }
            Write::Unstand { child, parent } => {
                (child, Event::StandbyRemoved { node_id: child.clone(), parent_id: parent.clone() })
            }
            Write::Leave { of, children } => {
                (of, Event::ChildrenRemoved { node_id: of.clone(), child_ids: children.clone() })
            }
            Write::Retire { node, parent } => {
                let left = Event::ChildRemoved { node_id: parent.clone(), child_id: node.clone() };
                let changed = Event::ParentChanged { node_id: node.clone(), new_parent: None };
                return vec![(channel::topology(parent), left), (channel::topology(node), changed)];
            }
        };
        vec![(channel::topology(about), event)]
    }

    /// All of these at one moment; in a Cluster in this order.
    pub fn all(writes: &[Write]) -> Pipeline {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for write in writes {
            write.add(&mut pipe);
        }
        pipe
    }

    pub(crate) fn add(&self, pipe: &mut Pipeline) {
        for change in self.changes() {
            change.add(pipe);
        }
        for (channel, event) in self.events() {
            pipe.publish(channel, event.message());
        }
    }
}

impl Change {
    fn add(self, pipe: &mut Pipeline) {
        match self {
            Change::Add { key, members } => pipe.sadd(key, members),
            Change::Remove { key, members } => pipe.srem(key, members),
            Change::Set { key, was: None, value } => pipe.set(key, value),
            Change::Set { key, was: Some(was), value } => {
                pipe.cmd("EVAL").arg(SET).arg(1).arg(key).arg(was).arg(value)
            }
            Change::Delete { key, was } => pipe.cmd("EVAL").arg(DELETE).arg(1).arg(key).arg(was),
        };
    }
}

/// A parent stands by for a node no more.
pub fn unstand(node: &str, parent: &str) -> [Write; 2] {
    let (child, parent) = (node.to_owned(), parent.to_owned());
    [Write::Leave { of: parent.clone(), children: vec![child.clone()] }, Write::Unstand { child, parent }]
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Write::Give { to, children } => write!(f, "{to} gets {} too", children.join(", ")),
            Write::Point { child, to, .. } => write!(f, "the parent of {child} is {to}"),
            Write::Stand { child, parent } => write!(f, "{parent} stands by for {child}"),
            Write::Unstand { child, parent } => write!(f, "{parent} stands by for {child} no more"),
            Write::Leave { of, children } => write!(f, "{} left {of}", children.join(", ")),
            Write::Retire { node, parent } => write!(f, "{node} is no child of {parent} any more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_first_and_then_the_event() {
        let words = |writes: &[Write]| {
            String::from_utf8_lossy(&Write::all(writes).get_packed_pipeline()).replace("\r\n", " ")
        };
        let [a, b] = ["a", "b"].map(str::to_owned);
        let give = words(&[Write::Give { to: a.clone(), children: vec![b.clone()] }]);
        assert!(give.contains("MULTI") && give.contains("SADD $10 children:a $1 b"), "{give}");
        assert!(give.find("children:a").unwrap() < give.find("topology:a").unwrap(), "{give}");
        let point = words(&[Write::Point { child: b.clone(), from: None, to: a.clone() }]);
        assert!(point.contains("SET $8 parent:b $1 a") && point.contains("parent-changed"), "{point}");
        let standby = words(&[Write::Stand { child: b.clone(), parent: a.clone() }]);
        assert!(standby.contains("SADD $9 parents:b $1 a") && standby.contains("standby-added"), "{standby}");
        let standby = words(&[Write::Unstand { child: b.clone(), parent: a.clone() }]);
        assert!(
            standby.contains("SREM $9 parents:b $1 a") && standby.contains("standby-removed"),
            "{standby}"
        );
        let retire = words(&[Write::Retire { node: b, parent: a }]);
        assert!(retire.contains("SREM $10 children:a $1 b") && retire.contains("child-removed"), "{retire}");
        // Both ends of it are told.
        assert!(retire.contains("topology:b") && retire.contains("\"newParent\":null"), "{retire}");
    }
}
