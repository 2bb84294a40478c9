//! What is written in Redis when nodes become somebody's children, or are nobody's any more. Pure: from what is so to what is written.

use std::collections::{BTreeMap, BTreeSet};

use node::contract::{channel, key};
use node::event::Event;
use node::record::NodeType;

use crate::journal::AboutKey;

/// Keys, and then the events about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// Commands by key, in this order.
    pub about: Vec<AboutKey>,
    /// `PUBLISH` commands.
    pub published: Vec<Vec<String>>,
}

/// Nodes of these kinds become children of a parent. Whoever has another parent by now keeps it, unless that one is `gone`: `parents` says
/// whose each is.
pub fn attach(
    tree: &str,
    parent: &str,
    nodes: &[(String, Option<NodeType>)],
    parents: &BTreeMap<String, String>,
    gone: &BTreeSet<String>,
) -> Writes {
    let other = |name: &String| parents.get(name).filter(|known| *known != parent);
    let stays = |name: &String| other(name).is_some_and(|known| !gone.contains(known));
    let come: Vec<&(String, Option<NodeType>)> = nodes.iter().filter(|(name, _)| !stays(name)).collect();
    let names: Vec<String> = come.iter().map(|(name, _)| name.clone()).collect();
    let mut writes = Writes::default();
    writes.add(&key::children(parent), "SADD", &names);
    for name in &names {
        if let Some(gone) = other(name) {
            writes.add(&key::children(gone), "SREM", std::slice::from_ref(name));
        }
        writes.add(&key::parent(name), "SET", &[parent.to_owned()]);
    }
    let egresses = come.iter().filter(|(_, role)| *role == Some(NodeType::Egress));
    let egresses: Vec<String> = egresses.map(|(name, _)| name.clone()).collect();
    writes.add(&key::scaled_egresses(tree), "SADD", &egresses);
    if !names.is_empty() {
        let child_ids = names.clone();
        writes.publish(parent, &Event::ChildrenAdded { node_id: parent.to_owned(), child_ids });
    }
    for name in names {
        writes.publish(
            &name,
            &Event::ParentChanged { node_id: name.clone(), new_parent: Some(parent.to_owned()) },
        );
    }
    writes
}

/// They are nobody's children any more, and no slots; `standby`: who stands by for each. What names a node last is its own `parent:`, so that who does this again finds whose it was.
pub fn detach(
    tree: &str,
    nodes: &[String],
    parents: &BTreeMap<String, String>,
    standby: &BTreeMap<String, Vec<String>>,
) -> Writes {
    let mut writes = Writes::default();
    for (name, beside) in standby {
        for parent in beside {
            writes.add(&key::children(parent), "SREM", std::slice::from_ref(name));
        }
        writes.add(&key::standby(name), "SREM", beside);
    }
    writes.add(&key::relay_slots(tree), "SREM", nodes);
    writes.add(&key::scaled_egresses(tree), "SREM", nodes);
    let mut of: BTreeMap<&String, Vec<String>> = BTreeMap::new();
    for (name, parent) in nodes.iter().filter_map(|name| Some((name, parents.get(name)?))) {
        of.entry(parent).or_default().push(name.clone());
    }
    for (parent, names) in &of {
        writes.add(&key::children(parent), "SREM", names);
    }
    for (parent, names) in &of {
        for name in names {
            writes.add(&key::parent(name), "UNSET", std::slice::from_ref(parent));
        }
    }
    for (name, parent) in
        standby.iter().flat_map(|(name, beside)| beside.iter().map(move |parent| (name, parent)))
    {
        let (node_id, child_id) = (parent.clone(), name.clone());
        writes.publish(parent, &Event::ChildRemoved { node_id, child_id });
        let (node_id, parent_id) = (name.clone(), parent.clone());
        writes.publish(name, &Event::StandbyRemoved { node_id, parent_id });
    }
    for (parent, names) in of {
        let child_ids = names.clone();
        writes.publish(parent, &Event::ChildrenRemoved { node_id: parent.clone(), child_ids });
        for name in names {
            writes.publish(&name, &Event::ParentChanged { node_id: name.clone(), new_parent: None });
        }
    }
    writes
}

/// A relay may be used as a slot, or no more.
pub fn offer(tree: &str, relay: &str, available: bool) -> Writes {
    let mut writes = Writes::default();
    let command = if available { "SADD" } else { "SREM" };
    writes.add(&key::relay_slots(tree), command, &[relay.to_owned()]);
    writes
}

impl Writes {
    /// A command about a key; of nobody it is none.
    fn add(&mut self, key: &str, command: &str, arguments: &[String]) {
        if arguments.is_empty() {
            return;
        }
        let mut words = vec![command.to_owned(), key.to_owned()];
        words.extend_from_slice(arguments);
        self.about.push(AboutKey { key: key.to_owned(), commands: vec![words] });
    }

    fn publish(&mut self, node: &str, event: &Event) {
        self.published.push(vec!["PUBLISH".to_owned(), channel::topology(node), event.message()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands, and of what is published where and what kind of event it is.
    fn lines(writes: &Writes) -> Vec<String> {
        let commands = writes.about.iter().flat_map(|about| &about.commands).map(|words| words.join(" "));
        let published = writes.published.iter().map(|words| {
            let event: serde_json::Value = serde_json::from_str(&words[2]).unwrap();
            format!("{} {} {}", words[0], words[1], event["type"].as_str().unwrap())
        });
        commands.chain(published).collect()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn keys_come_before_the_events_about_them() {
        let egress = |name: &str| (name.to_owned(), Some(NodeType::Egress));
        let attached = attach("t", "r", &[egress("a"), egress("b")], &BTreeMap::new(), &BTreeSet::new());
        assert_eq!(
            lines(&attached),
            [
                "SADD children:r a b",
                "SET parent:a r",
                "SET parent:b r",
                "SADD nodes:t:egress a b",
                "PUBLISH topology:r children-added",
                "PUBLISH topology:a parent-changed",
                "PUBLISH topology:b parent-changed",
            ]
        );
        let parents = [("a", "r"), ("b", "r")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        assert_eq!(
            lines(&detach("t", &names(&["a", "b", "c"]), &parents, &BTreeMap::new())),
            [
                "SREM relay-slots:t:available a b c",
                "SREM nodes:t:egress a b c",
                "SREM children:r a b",
                "UNSET parent:a r",
                "UNSET parent:b r",
                "PUBLISH topology:r children-removed",
                "PUBLISH topology:a parent-changed",
                "PUBLISH topology:b parent-changed",
            ]
        );
    }

    #[test]
    fn who_is_taken_away_has_nobody_stand_by_any_more() {
        let parents = [("a".to_owned(), "r".to_owned())].into();
        let standby = [("a".to_owned(), names(&["s"]))].into();
        assert_eq!(
            lines(&detach("t", &names(&["a"]), &parents, &standby)),
            [
                "SREM children:s a",
                "SREM parents:a s",
                "SREM relay-slots:t:available a",
                "SREM nodes:t:egress a",
                "SREM children:r a",
                "UNSET parent:a r",
                "PUBLISH topology:s child-removed",
                "PUBLISH topology:a standby-removed",
                "PUBLISH topology:r children-removed",
                "PUBLISH topology:a parent-changed",
            ]
        );
    }

    #[test]
    fn who_was_given_another_parent_meanwhile_keeps_it() {
        let moved = [("a".to_owned(), "r2".to_owned())].into();
        let egress = |name: &str| (name.to_owned(), Some(NodeType::Egress));
        let attached = lines(&attach("t", "r", &[egress("a"), egress("b")], &moved, &BTreeSet::new()));
        assert_eq!(attached[..2], ["SADD children:r b", "SET parent:b r"]);
    }

    #[test]
    fn a_parent_that_is_gone_keeps_nobody() {
        let parents = [("a".to_owned(), "dead".to_owned())].into();
        let gone = ["dead".to_owned()].into();
        let attached = lines(&attach("t", "r", &[("a".to_owned(), Some(NodeType::Egress))], &parents, &gone));
        assert_eq!(attached[..3], ["SADD children:r a", "SREM children:dead a", "SET parent:a r"]);
    }
}
