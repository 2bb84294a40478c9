//! What is written in Redis when a child gets another parent: the keys, and right behind each the event that says so, for servers
//! without keyspace notifications. Whoever decides what comes when: [`super::handover`], and `relay-ctl tree move`.

use std::fmt;

use redis::Pipeline;

use crate::contract::{channel, key};
use crate::event::Event;

/// Names another parent, if the child still has the one that we know of. KEYS: parent. ARGV: from, to
const POINT: &str = "\
local parent = redis.call('GET', KEYS[1])
if parent and string.match(parent, '^%s*(.-)%s*$') == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
return 0";
/// Forgets a parent, if it still is the one. KEYS: parent. ARGV: from
const FORGET: &str = "\
local parent = redis.call('GET', KEYS[1])
if parent and string.match(parent, '^%s*(.-)%s*$') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0";

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

impl Write {
    /// All of these at one moment; in a Cluster in this order.
    pub fn all(writes: &[Write]) -> Pipeline {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for write in writes {
            write.add(&mut pipe);
        }
        pipe
    }

    pub(super) fn add(&self, pipe: &mut Pipeline) {
        let (about, event) = match self {
            Write::Give { to, children } => {
                pipe.sadd(key::children(to), children);
                (to, Event::ChildrenAdded { node_id: to.clone(), child_ids: children.clone() })
            }
            Write::Point { child, from, to } => {
                match from {
                    Some(from) => {
                        pipe.cmd("EVAL").arg(POINT).arg(1).arg(key::parent(child)).arg(from).arg(to)
                    }
                    None => pipe.cmd("SET").arg(key::parent(child)).arg(to),
                };
                (child, Event::ParentChanged { node_id: child.clone(), new_parent: Some(to.clone()) })
            }
            Write::Stand { child, parent } => {
                pipe.sadd(key::standby(child), parent);
                (child, Event::StandbyAdded { node_id: child.clone(), parent_id: parent.clone() })
            }
            Write::Unstand { child, parent } => {
                pipe.srem(key::standby(child), parent);
                (child, Event::StandbyRemoved { node_id: child.clone(), parent_id: parent.clone() })
            }
            Write::Leave { of, children } => {
                pipe.srem(key::children(of), children);
                (of, Event::ChildrenRemoved { node_id: of.clone(), child_ids: children.clone() })
            }
            Write::Retire { node, parent } => {
                pipe.srem(key::children(parent), node);
                pipe.cmd("EVAL").arg(FORGET).arg(1).arg(key::parent(node)).arg(parent);
                (parent, Event::ChildRemoved { node_id: parent.clone(), child_id: node.clone() })
            }
        };
        pipe.publish(channel::topology(about), event.message());
    }
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
    }
}
