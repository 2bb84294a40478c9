//! A tree in a few lines, in which what is written takes effect later, by turns of a seeded random.

use super::*;
use crate::directory::Particulars;

const OWN: &str = "r";

fn entry(node_type: NodeType, parent: Option<&str>) -> Entry {
    Entry {
        node_type,
        url: String::new(),
        zone: String::new(),
        status: "active".to_owned(),
        parent: parent.map(str::to_owned),
        particulars: Particulars::default(),
    }
}

fn nodes(entries: &[(&str, Entry)]) -> Arc<Nodes> {
    let entries: BTreeMap<String, Entry> =
        entries.iter().map(|(id, entry)| ((*id).to_owned(), entry.clone())).collect();
    Arc::new(Nodes { alive: entries.keys().cloned().collect(), entries, ..Nodes::default() })
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// p -> r, s, t; r -> a, b.
fn sight() -> Sight {
    let relay = |parent| entry(NodeType::Relay, Some(parent));
    Sight {
        parent: Some("p".to_owned()),
        children: names(&["a", "b"]),
        parents: ["a", "b"].map(|child| (child.to_owned(), OWN.to_owned())).into(),
        siblings: BTreeMap::from([("r".to_owned(), 2), ("s".to_owned(), 7), ("t".to_owned(), 3)]),
        nodes: nodes(&[
            ("p", entry(NodeType::Relay, None)),
            ("r", relay("p")),
            ("s", relay("p")),
            ("t", relay("p")),
            ("a", relay("r")),
            ("b", entry(NodeType::Egress, Some("r"))),
        ]),
        ..Sight::default()
    }
}

/// The same, and c, which is a child of s and has r standing by.
fn standing_by() -> Sight {
    let mut sight = sight();
    sight.children.insert("c".to_owned());
    sight.parents.insert("c".to_owned(), "s".to_owned());
    sight.standby.insert("c".to_owned(), names(&[OWN]));
    let nodes = Arc::make_mut(&mut sight.nodes);
    nodes.entries.insert("c".to_owned(), entry(NodeType::Egress, Some("s")));
    nodes.alive.insert("c".to_owned());
    sight
}

fn writes(next: Next) -> Vec<Write> {
    match next {
        Next::Write(writes) => writes,
        other => panic!("nothing is written: {other:?}"),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn whom_it_stands_by_for_another_stands_by_for() {
    let mut sight = standing_by();
    let mut handover = handover(Some("t"));
    handover.successor(&sight).unwrap();
    let [c, r, t] = ["c", "r", "t"].map(str::to_owned);
    let first = writes(handover.next(&sight, seconds(0)));
    let stand = Write::Stand { child: c.clone(), parent: t.clone() };
    assert!(first.contains(&Write::Give { to: t.clone(), children: vec![c.clone()] }), "{first:?}");
    assert!(first.contains(&stand), "{first:?}");
    sight.given.insert(t.clone(), names(&["a", "b", "c"]));
    sight.standby.insert(c.clone(), names(&["r", "t"]));
    let about_c = |next: Next| match next {
        Next::Write(writes) => writes.into_iter().filter(|write| format!("{write}").contains('c')).count(),
        _ => 0,
    };
    assert_eq!(about_c(handover.next(&sight, seconds(1))), 0, "it may not send yet");
    let then = writes(handover.next(&sight, seconds(3)));
    for write in unstand(&c, &r) {
        assert!(then.contains(&write), "{then:?}");
    }
    // Undone half-way, or somebody else is to stand by: nobody is sent the same three times for ever.
    let back = writes(handover.next_undone(&sight, seconds(3)));
    assert!(back.contains(&Write::Unstand { child: c.clone(), parent: t.clone() }), "{back:?}");
    let all = ["a", "b", "c"].map(str::to_owned).to_vec();
    assert!(back.contains(&Write::Leave { of: t, children: all }), "{back:?}");
}

#[test]
fn who_has_nobody_else_to_stand_by_goes_on_without() {
    let gone = unstand("c", OWN);
    for to in [Some("s"), None] {
        let sight = standing_by();
        let mut handover = handover(to);
        if to.is_some() {
            handover.successor(&sight).unwrap();
        }
        let written = writes(handover.next(&sight, seconds(0)));
        assert!(gone.iter().all(|write| written.contains(write)), "{to:?}: {written:?}");
    }
    // More than may stand by for it are named: no other takes our place.
    let mut sight = standing_by();
    sight.standby.insert("c".to_owned(), names(&[OWN, "x", "y"]));
    let mut full = handover(Some("t"));
    full.successor(&sight).unwrap();
    let written = writes(full.next(&sight, seconds(0)));
    assert!(gone.iter().all(|write| written.contains(write)), "{written:?}");
    assert!(!written.iter().any(|write| matches!(write, Write::Stand { .. })), "{written:?}");
    // Its own parent has only just been named, and is not followed yet.
    let mut sight = standing_by();
    Arc::make_mut(&mut sight.nodes).entries.get_mut("c").unwrap().particulars.between_parents = true;
    assert!(matches!(handover(None).next(&sight, seconds(0)), Next::Wait(_)));
}

#[test]
fn whose_standby_becomes_its_parent_has_none_any_more() {
    let mut sight = sight();
    sight.standby.insert("a".to_owned(), names(&["t"]));
    // Another is better: nobody loses a way.
    assert_eq!(chosen(&sight, None).as_deref(), Ok("s"));
    let mut handover = handover(Some("t"));
    handover.successor(&sight).unwrap();
    sight.given.insert("t".to_owned(), names(&["a", "b"]));
    assert_eq!(handover.next(&sight, seconds(0)), Next::Wait(None));
    let written = writes(handover.next(&sight, seconds(2)));
    let [a, t] = ["a", "t"].map(str::to_owned);
    let point = Write::Point { child: a.clone(), from: Some(OWN.to_owned()), to: t.clone() };
    assert!(written.contains(&point), "{written:?}");
    assert!(written.contains(&Write::Unstand { child: a, parent: t }), "{written:?}");
}

/// What was to make its standby the parent was never written.
#[test]
fn who_stood_by_before_does_so_after_a_drain_that_was_undone() {
    let mut sight = sight();
    sight.standby.insert("a".to_owned(), names(&["t"]));
    let mut handover = handover(Some("t"));
    handover.successor(&sight).unwrap();
    sight.given.insert("t".to_owned(), names(&["a", "b"]));
    assert_eq!(handover.next(&sight, seconds(0)), Next::Wait(None));
    writes(handover.next(&sight, seconds(2)));
    let back = writes(handover.next_undone(&sight, seconds(2)));
    assert_eq!(back, [Write::Leave { of: "t".to_owned(), children: vec!["b".to_owned()] }]);
}

#[test]
fn a_loop_by_way_of_a_standby_is_refused_and_an_empty_node_has_none_any_more() {
    let mut looped = sight();
    let nodes = Arc::make_mut(&mut looped.nodes);
    nodes.entries.get_mut("t").unwrap().particulars.standby = vec!["x".to_owned()];
    nodes.entries.insert("x".to_owned(), entry(NodeType::Relay, Some("a")));
    assert!(chosen(&looped, Some("t")).unwrap_err().contains("loop"));
    assert_eq!(chosen(&looped, None).as_deref(), Ok("s"));
    let standby = [(OWN.to_owned(), names(&["t"]))].into();
    let empty = Sight { children: BTreeSet::new(), standby, ..sight() };
    let written = writes(handover(None).next(&empty, seconds(0)));
    let retire = Write::Retire { node: OWN.to_owned(), parent: "p".to_owned() };
    assert_eq!(written, [vec![retire], unstand(OWN, "t").to_vec()].concat());
}

fn handover(to: Option<&str>) -> Handover {
    let mut handover = Handover::new(OWN, "");
    handover.begin(to.map(str::to_owned));
    handover
}

fn chosen(sight: &Sight, to: Option<&str>) -> Result<String, String> {
    handover(to).successor(sight).map(Option::unwrap)
}

#[test]
fn children_go_to_the_sibling_that_is_nearest_and_has_the_fewest() {
    let with = |change: &dyn Fn(&mut Nodes)| {
        let mut sight = sight();
        change(Arc::make_mut(&mut sight.nodes));
        chosen(&sight, None)
    };
    let of =
        |nodes: &mut Nodes, id: &str, change: &dyn Fn(&mut Entry)| change(nodes.entries.get_mut(id).unwrap());
    assert_eq!(with(&|_| {}).as_deref(), Ok("t"));
    assert_eq!(with(&|nodes| of(nodes, "t", &|t| t.zone = "far".to_owned())).as_deref(), Ok("s"));
    assert_eq!(with(&|nodes| of(nodes, "t", &|t| t.particulars.draining = true)).as_deref(), Ok("s"));
    assert_eq!(with(&|nodes| of(nodes, "t", &|t| t.status = "degraded".to_owned())).as_deref(), Ok("s"));
    // Moved meanwhile, and dead.
    let dies = |nodes: &mut Nodes| nodes.alive.retain(|id| id != "t");
    assert_eq!(with(&|nodes| of(nodes, "t", &|t| t.parent = Some("x".to_owned()))).as_deref(), Ok("s"));
    assert_eq!(with(&dies).as_deref(), Ok("s"));
    // Nobody beside it.
    let alone = |nodes: &mut Nodes| nodes.alive = names(&["p", "r", "a", "b"]);
    assert_eq!(with(&alone).as_deref(), Ok("p"));
    assert!(with(&|nodes| nodes.alive = names(&["r"])).unwrap_err().contains("nor can p"));
    let orphan = Sight { parent: None, ..sight() };
    assert!(chosen(&orphan, None).unwrap_err().contains("name who does"));
}

#[test]
fn who_is_named_has_to_be_fit() {
    let mut sight = sight();
    let below = entry(NodeType::Relay, Some("a"));
    let ring = [("x", entry(NodeType::Relay, Some("y"))), ("y", entry(NodeType::Relay, Some("x")))];
    let nodes = Arc::make_mut(&mut sight.nodes);
    for (id, entry) in [("deep", below)].into_iter().chain(ring) {
        nodes.entries.insert(id.to_owned(), entry);
        nodes.alive.insert(id.to_owned());
    }
    for (to, wanted) in [
        ("s", Ok("s")),
        ("p", Ok("p")),
        ("r", Err("the node that drains")),
        ("nobody", Err("no node of this name")),
        ("b", Err("an egress")),
        ("a", Err("below")),
        ("deep", Err("below")),
        ("x", Err("ring")),
    ] {
        match (chosen(&sight, Some(to)), wanted) {
            (Ok(chosen), Ok(wanted)) => assert_eq!(chosen, wanted),
            (Err(why), Err(wanted)) => assert!(why.contains(wanted), "{to}: {why}"),
            (chosen, wanted) => panic!("{to}: {chosen:?}, not {wanted:?}"),
        }
    }
}

#[test]
fn who_takes_them_stays_the_same_for_as_long_as_it_can() {
    let mut sight = sight();
    let mut handover = handover(None);
    let mut chosen = |sight: &Sight| handover.successor(sight).unwrap().unwrap();
    assert_eq!(chosen(&sight), "t");
    sight.siblings.insert("s".to_owned(), 0);
    assert_eq!(chosen(&sight), "t");
    Arc::make_mut(&mut sight.nodes).alive.remove("t");
    assert_eq!(chosen(&sight), "s");
}

#[test]
fn a_child_that_somebody_else_has_moved_is_let_go_when_it_is_there() {
    let mut sight = sight();
    sight.children = names(&["a"]);
    sight.parents.insert("a".to_owned(), "elsewhere".to_owned());
    let mut handover = handover(None);
    handover.successor(&sight).unwrap();
    assert_eq!(handover.next(&sight, Duration::ZERO), Next::Wait(None));
    assert!(
        matches!(handover.next(&sight, SLOW * 2), Next::Wait(Some(why)) if why.contains("a from elsewhere"))
    );
    Arc::make_mut(&mut sight.nodes).entries.get_mut("a").unwrap().parent = Some("elsewhere".to_owned());
    let leave = Next::Write(vec![Write::Leave { of: OWN.to_owned(), children: vec!["a".to_owned()] }]);
    assert_eq!(handover.next(&sight, SLOW * 2), leave);
}

/// A generator that is small and good enough (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The keys, and what the nodes have made of them so far.
struct World {
    sets: BTreeMap<String, BTreeSet<String>>,
    parents: BTreeMap<String, String>,
    /// Who stands by for a child.
    standby: BTreeMap<String, BTreeSet<String>>,
    /// Who sends to whom by now.
    sends: BTreeMap<String, BTreeSet<String>>,
    /// Whom a child takes media from by now: the last is the one that it was told of.
    takes: BTreeMap<String, Vec<String>>,
    /// What children say of themselves: that they are there, and what they say.
    says: BTreeMap<String, (String, bool)>,
    silent: BTreeSet<String>,
    dead: BTreeSet<String>,
}

const RELAYS: [&str; 4] = ["p", "r", "s", "t"];

impl World {
    fn new(children: u64, random: &mut Random) -> World {
        let below: BTreeSet<String> = (0..children).map(|index| format!("c{index}")).collect();
        let mut sets = BTreeMap::from([
            ("p".to_owned(), names(&["r", "s", "t"])),
            ("r".to_owned(), below.clone()),
            ("s".to_owned(), BTreeSet::new()),
            ("t".to_owned(), BTreeSet::new()),
        ]);
        let mut parents: BTreeMap<String, String> =
            below.iter().map(|child| (child.clone(), OWN.to_owned())).collect();
        // Some have another beside r; and for some r stands by, beside t.
        let mut standby: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for child in &below {
            let beside = match random.below(6) {
                0 => "s",
                1 => "t",
                2 => {
                    parents.insert(child.clone(), "t".to_owned());
                    sets.get_mut("t").unwrap().insert(child.clone());
                    standby.insert(child.clone(), names(&[OWN]));
                    continue;
                }
                _ => continue,
            };
            standby.insert(child.clone(), names(&[beside]));
            sets.get_mut(beside).unwrap().insert(child.clone());
        }
        let of = parents.clone();
        parents.extend(["r", "s", "t"].map(|relay| (relay.to_owned(), "p".to_owned())));
        // Some say nothing of themselves: of another make.
        let silent = below.iter().filter(|_| random.below(4) == 0).cloned().collect();
        World {
            sends: sets.clone(),
            takes: below.iter().map(|child| (child.clone(), vec![of[child].clone()])).collect(),
            says: below.iter().map(|child| (child.clone(), (of[child].clone(), false))).collect(),
            sets,
            parents,
            standby,
            silent,
            dead: BTreeSet::new(),
        }
    }

    fn sight(&self) -> Sight {
        let mut entries: Vec<(&str, Entry)> = ["r", "s", "t"]
            .map(|id| (id, entry(NodeType::Relay, self.parents.get(id).map(String::as_str))))
            .into();
        entries.push(("p", entry(NodeType::Injection, None)));
        for (child, (parent, between)) in &self.says {
            let mut entry = entry(NodeType::Egress, Some(parent));
            entry.particulars.between_parents = *between;
            entries.push((child, entry));
        }
        let mut nodes = nodes(&entries);
        let gone = |id: &String| self.silent.contains(id) || self.dead.contains(id);
        Arc::make_mut(&mut nodes).alive.retain(|id| !gone(id));
        Sight {
            parent: self.parents.get(OWN).cloned(),
            children: self.sets[OWN].clone(),
            parents: self.sets[OWN]
                .iter()
                .filter_map(|c| Some((c.clone(), self.parents.get(c)?.clone())))
                .collect(),
            siblings: self.sets["p"].iter().map(|id| (id.clone(), self.sets[id].len() as u64)).collect(),
            standby: self.standby.clone(),
            given: BTreeMap::new(),
            nodes,
        }
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Give { to, children } => self.sets.get_mut(&to).unwrap().extend(children),
            Write::Point { child, from, to } => {
                if self.parents.get(&child) == from.as_ref() {
                    self.parents.insert(child, to);
                }
            }
            Write::Leave { of, children } => {
                self.sets.get_mut(&of).unwrap().retain(|child| !children.contains(child));
            }
            Write::Stand { child, parent } => drop(self.standby.entry(child).or_default().insert(parent)),
            Write::Unstand { child, parent } => {
                self.standby.entry(child).or_default().remove(&parent);
            }
            Write::Retire { node, parent } => {
                self.sets.get_mut(&parent).unwrap().remove(&node);
                self.parents.remove(&node);
            }
        }
    }

    /// One node notices something, or not yet. `silent` children need no more than a second.
    fn pass(&mut self, random: &mut Random) {
        for relay in RELAYS {
            if random.below(3) == 0 && !self.dead.contains(relay) {
                self.sends.insert(relay.to_owned(), self.sets[relay].clone());
            }
        }
        let children: Vec<String> = self.takes.keys().cloned().collect();
        for child in children {
            let (Some(parent), takes) = (self.parents.get(&child), self.takes.get_mut(&child).unwrap())
            else {
                continue;
            };
            if takes.last() != Some(parent) && random.below(3) == 0 {
                takes.retain(|other| other != parent);
                takes.push(parent.clone());
            }
            // Media comes from the new one: from that alone now.
            if takes.len() > 1 && self.sends[takes.last().unwrap()].contains(&child) && random.below(2) == 0 {
                takes.drain(..takes.len() - 1);
            }
            if random.below(3) == 0 {
                self.says.insert(child, (takes.last().unwrap().clone(), takes.len() > 1));
            }
        }
    }

    /// Somebody who lives sends to it what it takes.
    fn is_served(&self, child: &str) -> bool {
        let standby = self.standby.get(child).into_iter().flatten();
        let mut from = self.takes[child].iter().chain(standby);
        from.any(|from| !self.dead.contains(from) && self.sends[from].contains(child))
    }
}

/// Steps of 100 ms until it is done, or until it has been undone.
fn run(seed: u64, is_undone: bool) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let children = 1 + random.below(6);
    let undone_at = if is_undone { random.below(40) } else { u64::MAX };
    let mut world = World::new(children, &mut random);
    let mut handover = handover(None);
    let (mut now, mut restarts, mut pulled) = (Duration::ZERO, 0, false);
    for step in 0..2_000 {
        now += Duration::from_millis(100);
        // Several turns: a silent child has followed within LINGER, and a relay sends within SETTLED.
        for _ in 0..3 {
            world.pass(&mut random);
        }
        if random.below(50) == 0 && restarts < 3 && !is_undone {
            restarts += 1;
            handover = self::handover(None);
        }
        // The sibling goes that was to take them.
        if random.below(60) == 0 && !pulled {
            pulled = true;
            world.dead.insert("s".to_owned());
        }
        let mut sight = world.sight();
        if step < undone_at {
            handover.successor(&sight).unwrap();
        }
        sight.given = handover.receivers().map(|id| (id.clone(), world.sets[id].clone())).collect();
        let next =
            if step < undone_at { handover.next(&sight, now) } else { handover.next_undone(&sight, now) };
        match next {
            Next::Write(writes) => {
                // Redis goes away in between, now and then.
                let done = if random.below(10) == 0 {
                    random.below(writes.len() as u64 + 1) as usize
                } else {
                    writes.len()
                };
                writes.into_iter().take(done).for_each(|write| world.write(write));
            }
            Next::Wait(_) => {}
            Next::Done => {
                let is_empty = world.sets[OWN].is_empty() && !world.sets["p"].contains(OWN);
                assert!(step >= undone_at || is_empty, "seed {seed}");
                return world.check(seed, step, restarts == 0);
            }
        }
        if !pulled {
            for child in world.takes.keys() {
                assert!(
                    world.is_served(child),
                    "seed {seed}: nobody sends to {child} at step {step}: {:?}",
                    world.takes
                );
            }
        }
    }
    panic!("seed {seed}: not done: {:?} {:?}", world.sets, world.takes);
}

impl World {
    /// Every child is its parent's and, if that node remembers what it has done, nobody else's but of those who stand by for it.
    fn check(&self, seed: u64, step: u64, remembers: bool) {
        assert!(
            !self.parents.contains_key(OWN) || self.sets["p"].contains(OWN),
            "seed {seed}: half a child of p"
        );
        let is_empty = self.sets[OWN].is_empty();
        for child in self.takes.keys() {
            let parent = &self.parents[child];
            let has = |relay: &&str| self.sets[*relay].contains(child);
            let all: Vec<&str> = RELAYS.into_iter().filter(has).collect();
            assert!(all.contains(&parent.as_str()), "seed {seed}: {child} is nobody's at step {step}");
            let standby = self.standby.get(child).cloned().unwrap_or_default();
            assert!(!standby.contains(parent), "seed {seed}: {parent} of {child} stands by for itself");
            let other = |relay: &&&str| **relay != parent && !standby.contains(**relay);
            let others: Vec<&&str> = all.iter().filter(other).collect();
            assert!(
                !remembers || others.is_empty(),
                "seed {seed}: {child} of {parent} is sent to by {all:?}"
            );
            assert!(!is_empty || !standby.contains(OWN), "seed {seed}: {child} has one who is gone");
        }
    }
}

#[test]
fn in_any_order_of_events_every_child_is_served_until_it_is_somebody_elses() {
    (1..=1_000).for_each(|seed| run(seed, false));
}

#[test]
fn a_drain_that_is_undone_in_the_middle_leaves_nobody_with_two_who_send() {
    (1..=1_000).for_each(|seed| run(seed, true));
}

#[test]
fn a_child_is_taken_back_from_whoever_was_to_take_it_and_does_not() {
    let mut sight = sight();
    sight.children = names(&["a"]);
    let mut handover = handover(None);
    handover.successor(&sight).unwrap();
    let give = |to: &str| Write::Give { to: to.to_owned(), children: vec!["a".to_owned()] };
    let leave = |of: &str| Write::Leave { of: of.to_owned(), children: vec!["a".to_owned()] };
    assert_eq!(handover.next(&sight, Duration::ZERO), Next::Write(vec![give("t")]));
    // It is to be drained itself.
    Arc::make_mut(&mut sight.nodes).entries.get_mut("t").unwrap().particulars.draining = true;
    sight.given.insert("t".to_owned(), names(&["a"]));
    assert_eq!(handover.successor(&sight).unwrap().as_deref(), Some("s"));
    assert_eq!(handover.next(&sight, Duration::ZERO), Next::Write(vec![give("s"), leave("t")]));
    // Nobody is to take it any more.
    sight.given = [("t".to_owned(), names(&[])), ("s".to_owned(), names(&["a"]))].into();
    assert_eq!(handover.next_undone(&sight, SETTLED), Next::Write(vec![leave("s")]));
    sight.given = BTreeMap::new();
    assert_eq!(handover.next_undone(&sight, SETTLED), Next::Done);
}
