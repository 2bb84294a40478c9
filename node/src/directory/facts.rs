//! What was read of a directory, and for how long it holds. Pure: time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Entry;

/// What was read within this time is not read again.
pub const FRESH: Duration = Duration::from_secs(1);
/// So long what was read last is better than nothing, should Redis be away: what runs goes on running without it.
pub const HOLDS: Duration = Duration::from_secs(300);
/// So long nodes may take to register again when Redis has lost its data.
const RETURN: Duration = Duration::from_secs(5);
/// Sessions that are remembered.
const MOST_SESSIONS: usize = 1024;

/// Egresses that carry a session and are alive, by name: full, draining and doubtful ones too.
pub type Carriers = BTreeMap<String, Entry>;

/// Who there is in a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Entries by name of the node, also of such as are dead.
    pub entries: BTreeMap<String, Entry>,
    /// Those that have a registration.
    pub alive: BTreeSet<String>,
    /// Those of which nobody has heard for some seconds.
    pub doubtful: BTreeSet<String>,
}

/// What was read last.
#[derive(Debug, Default)]
pub struct Facts {
    nodes: Option<(Instant, Arc<Nodes>)>,
    carriers: BTreeMap<String, (Instant, Arc<Carriers>)>,
    /// The last read failed, then and why.
    failed: Option<(Instant, String)>,
    /// Since when most nodes have been missing.
    lost: Option<Instant>,
}

impl Facts {
    /// Who there is, if that was read within this time.
    pub fn nodes(&self, within: Duration, now: Instant) -> Option<Arc<Nodes>> {
        recent(self.nodes.as_ref()?, within, now)
    }

    /// Who carries a session, if that was read within this time.
    pub fn carriers(&self, session: &str, within: Duration, now: Instant) -> Option<Arc<Carriers>> {
        recent(self.carriers.get(session)?, within, now)
    }

    /// Why nothing can be read; `None`: it can, or should be tried again.
    pub fn failure(&self, now: Instant) -> Option<&str> {
        let (at, why) = self.failed.as_ref()?;
        (now.duration_since(*at) < FRESH).then_some(why)
    }

    /// A read has failed.
    pub fn failed(&mut self, why: String, now: Instant) {
        self.failed = Some((now, why));
    }

    /// A read has found this, of each session the names of those that have it. A tree in which nobody is alive, or that has lost
    /// most of those who were, is one whose Redis has lost its data: what was known holds until they have registered again.
    pub fn learn(&mut self, nodes: Arc<Nodes>, sessions: BTreeMap<String, BTreeSet<String>>, now: Instant) {
        self.failed = None;
        if self.is_lost(&nodes, now) {
            let why = "Redis has lost nodes of this tree; they register again within seconds";
            self.failed = Some((now, why.to_owned()));
            return;
        }
        for (session, names) in sessions {
            let of = |id: String| {
                let mut entry = nodes.entries.get(&id).filter(|_| nodes.alive.contains(&id))?.clone();
                entry.particulars.doubtful = nodes.doubtful.contains(&id);
                Some((id, entry))
            };
            let carriers: Carriers = names.into_iter().filter_map(of).collect();
            self.carriers.insert(session, (now, Arc::new(carriers)));
        }
        self.nodes = Some((now, nodes));
        self.forget(now);
    }

    /// Whether what was read is what is left after a loss. A node that ends or dies is one; most of them at once are not, unless they
    /// stay away.
    fn is_lost(&mut self, nodes: &Nodes, now: Instant) -> bool {
        if nodes.alive.is_empty() {
            return true;
        }
        let known = self.nodes(HOLDS, now);
        let was = known.as_ref().map_or(0, |known| known.alive.len());
        let vanished = |id: &&String| !nodes.entries.contains_key(*id);
        let vanished = known.iter().flat_map(|known| &known.alive).filter(vanished).count();
        if vanished < 2 || 2 * vanished <= was {
            self.lost = None;
            return false;
        }
        now.duration_since(*self.lost.get_or_insert(now)) < RETURN
    }

    /// Too many are remembered: those that nobody carries go first, which are names that strangers have made up, and then the oldest.
    fn forget(&mut self, now: Instant) {
        if self.carriers.len() <= MOST_SESSIONS {
            return;
        }
        self.carriers.retain(|_, (at, _)| now.duration_since(*at) < HOLDS);
        let mut ages: Vec<_> = self
            .carriers
            .iter()
            .map(|(session, (at, carriers))| (!carriers.is_empty(), *at, session.clone()))
            .collect();
        ages.sort();
        let surplus = ages.len().saturating_sub(MOST_SESSIONS);
        for (_, _, session) in &ages[..surplus] {
            self.carriers.remove(session);
        }
    }
}

fn recent<T>((at, fact): &(Instant, Arc<T>), within: Duration, now: Instant) -> Option<Arc<T>> {
    (now.duration_since(*at) < within).then(|| fact.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Particulars;
    use crate::record::NodeType;

    fn room() -> Particulars {
        Particulars { max_viewers: 300, ..Particulars::default() }
    }

    fn nodes(names: &[&str], alive: &[&str]) -> Arc<Nodes> {
        let entry = Entry {
            node_type: NodeType::Egress,
            url: "http://e".to_owned(),
            zone: String::new(),
            status: "active".to_owned(),
            parent: None,
            particulars: room(),
        };
        let entries = names.iter().map(|name| ((*name).to_owned(), entry.clone())).collect();
        let alive = alive.iter().map(|name| (*name).to_owned()).collect();
        Arc::new(Nodes { entries, alive, doubtful: BTreeSet::new() })
    }

    fn sessions(session: &str, names: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
        [(session.to_owned(), names.iter().map(|name| (*name).to_owned()).collect())].into()
    }

    fn names(carriers: Option<Arc<Carriers>>) -> Option<Vec<String>> {
        carriers.map(|carriers| carriers.keys().cloned().collect())
    }

    #[test]
    fn only_who_is_there_and_alive_carries() {
        let (mut facts, now) = (Facts::default(), Instant::now());
        facts.learn(nodes(&["a", "b"], &["a"]), sessions("s", &["a", "b", "c"]), now);
        assert_eq!(names(facts.carriers("s", FRESH, now)), Some(vec!["a".to_owned()]));
        assert_eq!(facts.carriers("t", HOLDS, now), None, "nobody has looked");
        facts.learn(nodes(&["a"], &["a"]), sessions("t", &[]), now);
        assert_eq!(names(facts.carriers("t", FRESH, now)), Some(vec![]), "nobody has it");
    }

    #[test]
    fn who_is_doubtful_is_there_and_said_to_be() {
        let (mut facts, now) = (Facts::default(), Instant::now());
        let mut there = Nodes::clone(&nodes(&["a", "b"], &["a", "b"]));
        there.doubtful.insert("b".to_owned());
        facts.learn(Arc::new(there), sessions("s", &["a", "b"]), now);
        let carriers = facts.carriers("s", FRESH, now).unwrap();
        assert_eq!(["a", "b"].map(|id| carriers[id].particulars.doubtful), [false, true]);
    }

    #[test]
    fn what_was_known_holds_while_redis_is_away_but_not_for_ever() {
        let (mut facts, began) = (Facts::default(), Instant::now());
        facts.learn(nodes(&["a"], &["a"]), sessions("s", &["a"]), began);
        let later = began + FRESH;
        assert_eq!(facts.carriers("s", FRESH, later), None, "it is to be read again");
        facts.failed("away".to_owned(), later);
        assert_eq!(facts.failure(later), Some("away"));
        assert!(names(facts.carriers("s", HOLDS, later)).is_some());
        assert_eq!(facts.failure(later + FRESH), None, "it is tried again");
        // It is back, and empty.
        facts.learn(nodes(&[], &[]), sessions("s", &[]), later);
        assert_eq!(names(facts.carriers("s", HOLDS, later)), Some(vec!["a".to_owned()]));
        assert!(facts.nodes(HOLDS, later).is_some_and(|nodes| nodes.alive.contains("a")));
        assert_eq!(facts.carriers("s", HOLDS, began + HOLDS), None);
    }

    #[test]
    fn a_tree_that_registers_again_is_not_believed_to_be_small() {
        let (mut facts, began) = (Facts::default(), Instant::now());
        let all = ["a", "b", "c"];
        facts.learn(nodes(&all, &all), sessions("s", &all), began);
        // Redis is back without its data, and one node sooner than the others.
        let soon = began + FRESH;
        facts.learn(nodes(&["b"], &["b"]), sessions("s", &[]), soon);
        assert_eq!(names(facts.carriers("s", HOLDS, soon)).unwrap(), all, "what was known holds");
        assert!(facts.failure(soon).is_some_and(|why| why.contains("register again")));
        facts.learn(nodes(&all, &all), sessions("s", &["a"]), soon + FRESH);
        assert_eq!(names(facts.carriers("s", FRESH, soon + FRESH)).unwrap(), ["a"]);
        // They do not come back: it is as it is.
        let (again, after) = (soon + 2 * FRESH, soon + 2 * FRESH + RETURN);
        facts.learn(nodes(&["b"], &["b"]), sessions("s", &["b"]), again);
        assert_eq!(names(facts.carriers("s", HOLDS, again)).unwrap(), ["a"]);
        facts.learn(nodes(&["b"], &["b"]), sessions("s", &["b"]), after);
        assert_eq!(names(facts.carriers("s", FRESH, after)).unwrap(), ["b"]);
        // One that dies, and one that ends, are believed at once.
        facts.learn(nodes(&all, &["a", "b"]), sessions("s", &all), after);
        facts.learn(nodes(&["b", "c"], &["b", "c"]), sessions("s", &["b"]), after);
        assert_eq!(names(facts.carriers("s", FRESH, after)).unwrap(), ["b"]);
    }

    #[test]
    fn strangers_names_take_no_more_than_so_much() {
        let (mut facts, began) = (Facts::default(), Instant::now());
        let there = nodes(&["a"], &["a"]);
        facts.learn(there.clone(), sessions("real", &["a"]), began);
        for n in 0..MOST_SESSIONS + 100 {
            facts.learn(
                there.clone(),
                sessions(&format!("s{n}"), &[]),
                began + Duration::from_millis(n as u64),
            );
        }
        assert_eq!(facts.carriers.len(), MOST_SESSIONS);
        assert!(!facts.carriers.contains_key("s0"), "the oldest goes first");
        assert!(facts.carriers.contains_key("real"), "and what nobody carries before all else");
    }
}
