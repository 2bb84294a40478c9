//! From what was seen to what is left over. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::work::Leftover;
use crate::directory::Entry;
use crate::record::NodeType;

/// Most that is taken out in a turn.
pub const MOST: usize = 100;
/// Most sessions of one dead injection that are taken out in a turn: of each every egress is asked.
pub const MOST_SESSIONS: usize = 20;

/// A session of the tree's index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Whose it is, by its hash.
    pub injection: Option<String>,
    /// By its hash it is over, or it has none.
    pub is_over: bool,
    /// It is among the active ones.
    pub is_active: bool,
}

/// An active mountpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Its hash is there.
    pub has_hash: bool,
    /// It is of this tree, by its hash.
    pub is_ours: bool,
}

/// What a turn has seen, of sets a part.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The tree's directory; of an entry that nobody can read its name.
    pub directory: BTreeMap<String, Option<Entry>>,
    /// Sessions of the tree's index.
    pub index: BTreeMap<String, Listed>,
    /// Active sessions, each with whether it has a hash.
    pub sessions: BTreeMap<String, bool>,
    /// Active mountpoints, by egress and session.
    pub mountpoints: BTreeMap<(String, String), Shown>,
}

/// What the sets of a node that is gone have.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// Sessions.
    pub sessions: BTreeSet<String>,
    /// Sessions that it has mountpoints for.
    pub mountpoints: BTreeSet<String>,
    /// There may be more.
    pub more: bool,
}

impl Seen {
    /// All nodes that have something.
    pub fn nodes(&self) -> BTreeSet<String> {
        let injections = self.index.values().filter_map(|listed| listed.injection.clone());
        let ours = self.mountpoints.iter().filter(|(_, shown)| shown.is_ours);
        let egresses = ours.map(|((egress, _), _)| egress.clone());
        self.directory.keys().cloned().chain(injections).chain(egresses).collect()
    }

    /// Those of these nodes that serve viewers.
    pub fn egresses<'a>(&self, nodes: impl Iterator<Item = &'a String>) -> Vec<String> {
        let is_egress =
            |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.node_type == NodeType::Egress);
        let serves = |id: &&String| self.directory.get(*id).is_some_and(is_egress);
        nodes.filter(serves).cloned().collect()
    }

    /// All that is known of what a node has: what its own sets lack, because its sweeper died in the middle, others have.
    pub fn complete(&self, node: &str, mut left: Left) -> Left {
        let listed = self.index.iter().filter(|(_, listed)| listed.injection.as_deref() == Some(node));
        left.sessions.extend(listed.map(|(id, _)| id.clone()));
        let shown = self.mountpoints.iter().filter(|((egress, _), shown)| egress == node && shown.is_ours);
        left.mountpoints.extend(shown.map(|((_, session), _)| session.clone()));
        left
    }

    /// What of a dead node is left over, and whether there is more. `flowing`: sessions whose media comes all the same.
    pub fn leftovers_of(&self, node: &str, left: &Left, flowing: &BTreeSet<String>) -> (Vec<Leftover>, bool) {
        if left.sessions.is_empty() && left.mountpoints.is_empty() {
            // The last of a node: as long as it is there, all else is found.
            let entry = self.directory.contains_key(node).then(|| Leftover::Entry { node: node.to_owned() });
            return (entry.into_iter().collect(), false);
        }
        let sessions = left.sessions.difference(flowing).take(MOST_SESSIONS).cloned();
        let sessions = sessions.map(|id| Leftover::Session { id, injection: node.to_owned() });
        let mountpoints = left.mountpoints.iter().cloned();
        let mountpoints =
            mountpoints.map(|session| Leftover::Mountpoint { egress: node.to_owned(), session });
        let leftovers: Vec<Leftover> = sessions.chain(mountpoints).collect();
        // Its entry, once nothing else is there.
        let more = left.more || !leftovers.is_empty();
        (leftovers, more)
    }
}

/// Each thing once, and no more than fits into a turn. Gives whether there is more.
pub fn of_a_turn(mut leftovers: Vec<Leftover>) -> (Vec<Leftover>, bool) {
    // What has no hash may be a dead node's as well: that one says more, and comes first.
    leftovers.sort();
    let mut seen = BTreeSet::new();
    leftovers.retain(|leftover| seen.insert((matches!(leftover, Leftover::Entry { .. }), leftover.name())));
    let more = leftovers.len() > MOST;
    leftovers.truncate(MOST);
    (leftovers, more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::read;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    fn seen() -> Seen {
        let entry = |kind: &str| format!(r#"{{"type":"{kind}","url":"http://a","status":"active"}}"#);
        let fields = [("i1", "injection"), ("e1", "egress"), ("e2", "egress"), ("r1", "relay")];
        let listed = |injection: &str| Listed { injection: Some(text(injection)), ..Listed::default() };
        let ours = Shown { has_hash: true, is_ours: true };
        let theirs = Shown { is_ours: false, ..ours.clone() };
        let at = |egress: &str| (text(egress), text("s"));
        Seen {
            directory: read(fields.map(|(id, kind)| (text(id), entry(kind))).into())
                .into_iter()
                .map(|(id, entry)| (id, Some(entry)))
                .collect(),
            index: [(text("a"), listed("i1")), (text("b"), listed("i9"))].into(),
            sessions: BTreeMap::new(),
            mountpoints: [(at("e1"), ours.clone()), (at("e9"), ours), (at("other"), theirs)].into(),
        }
    }

    #[test]
    fn all_of_the_tree_that_have_something_are_looked_at() {
        let nodes = seen().nodes();
        assert_eq!(nodes.iter().collect::<Vec<_>>(), ["e1", "e2", "e9", "i1", "i9", "r1"]);
        assert_eq!(seen().egresses(nodes.iter()), ["e1", "e2"]);
    }

    #[test]
    fn an_entry_goes_last() {
        let (seen, none) = (seen(), BTreeSet::new());
        let left = seen.complete("i1", Left { sessions: [text("c")].into(), ..Left::default() });
        let (leftovers, more) = seen.leftovers_of("i1", &left, &none);
        let session = |id: &str| Leftover::Session { id: text(id), injection: text("i1") };
        assert_eq!((leftovers, more), (vec![session("a"), session("c")], true));
        // What media comes of stays, and with it the entry by which it is found.
        let flowing = [text("a"), text("c")].into();
        assert_eq!(seen.leftovers_of("i1", &left, &flowing), (vec![], false));
        let entry = Leftover::Entry { node: text("r1") };
        assert_eq!(
            seen.leftovers_of("r1", &seen.complete("r1", Left::default()), &none),
            (vec![entry], false)
        );
        let gone = seen.complete("never", Left::default());
        assert_eq!(seen.leftovers_of("never", &gone, &none), (vec![], false));
    }

    #[test]
    fn a_turn_has_an_end_and_each_thing_once() {
        let bare = |id: usize| Leftover::BareSession { id: id.to_string() };
        let session = Leftover::Session { id: text("7"), injection: text("i1") };
        let (leftovers, more) = of_a_turn((0..90).map(bare).chain([session.clone()]).collect());
        assert!(
            !more && leftovers.len() == 90 && leftovers.contains(&session) && !leftovers.contains(&bare(7))
        );
        let (leftovers, more) = of_a_turn((0..1000).map(bare).collect());
        assert!(more && leftovers.len() == MOST);
    }
}
