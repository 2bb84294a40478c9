//! What is written in Redis when nodes become somebody's children, or are nobody's any more: [`node::parentage`] with what only a scaler
//! keeps of them. Pure: from what is so to what is written.

use std::collections::{BTreeMap, BTreeSet};

use node::contract::key;
use node::parentage::{Change, Write, unstand};
use node::record::NodeType;

use crate::journal::{AboutKey, IF};

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
    if !names.is_empty() {
        writes.all([Write::Give { to: parent.to_owned(), children: names.clone() }]);
    }
    for child in names {
        let leave =
            other(&child).map(|gone| Write::Leave { of: gone.clone(), children: vec![child.clone()] });
        writes.all(leave);
        writes.all([Write::Point { child, from: None, to: parent.to_owned() }]);
    }
    let egresses = come.iter().filter(|(_, role)| *role == Some(NodeType::Egress));
    let members = egresses.map(|(name, _)| name.clone()).collect();
    writes.change(Change::Add { key: key::scaled_egresses(tree), members });
    writes
}

/// They are nobody's children any more, and no slots; `standby`: who stands by for each.
pub fn detach(
    tree: &str,
    nodes: &[String],
    parents: &BTreeMap<String, String>,
    standby: &BTreeMap<String, Vec<String>>,
) -> Writes {
    let mut writes = Writes::default();
    for (name, beside) in standby {
        writes.all(beside.iter().flat_map(|parent| unstand(name, parent)));
    }
    for key in [key::relay_slots(tree), key::scaled_egresses(tree)] {
        writes.change(Change::Remove { key, members: nodes.to_vec() });
    }
    // What names a node last is its own `parent:`, so that who does this again finds whose it was.
    let of = nodes.iter().filter_map(|name| Some((name, parents.get(name)?)));
    writes.all(of.map(|(node, parent)| Write::Retire { node: node.clone(), parent: parent.clone() }));
    writes
}

/// A relay may be used as a slot, or no more.
pub fn offer(tree: &str, relay: &str, available: bool) -> Writes {
    let (key, members) = (key::relay_slots(tree), vec![relay.to_owned()]);
    let mut writes = Writes::default();
    writes.change(if available { Change::Add { key, members } } else { Change::Remove { key, members } });
    writes
}

impl Writes {
    fn all(&mut self, writes: impl IntoIterator<Item = Write>) {
        for write in writes {
            write.changes().into_iter().for_each(|change| self.change(change));
            let publish = |(channel, event): (String, node::event::Event)| {
                vec!["PUBLISH".to_owned(), channel, event.message()]
            };
            self.published.extend(write.events().into_iter().map(publish));
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Add { key, members } => self.add(key, "SADD", members),
            Change::Remove { key, members } => self.add(key, "SREM", members),
            Change::Set { key, was: None, value } => self.add(key, "SET", vec![value]),
            Change::Set { key, was: Some(was), value } => {
                self.add(key, IF, vec![was, "SET".to_owned(), value])
            }
            Change::Delete { key, was } => self.add(key, IF, vec![was, "DEL".to_owned()]),
        }
    }

    /// A command about a key; of nobody it is none.
    fn add(&mut self, key: String, command: &str, arguments: Vec<String>) {
        if arguments.is_empty() {
            return;
        }
        let words = [vec![command.to_owned(), key.clone()], arguments].concat();
        self.about.push(AboutKey { key, commands: vec![words] });
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
                "SREM children:r a",
                "IF parent:a r DEL",
                "SREM children:r b",
                "IF parent:b r DEL",
                "PUBLISH topology:r child-removed",
                "PUBLISH topology:a parent-changed",
                "PUBLISH topology:r child-removed",
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
                "IF parent:a r DEL",
                "PUBLISH topology:s children-removed",
                "PUBLISH topology:a standby-removed",
                "PUBLISH topology:r child-removed",
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
