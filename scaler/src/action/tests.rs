//! Actions are carried out in a modelled world, with failures and restarts wherever they can come, and end as they should.

use std::collections::{BTreeMap, BTreeSet};

use node::record::NodeType;
use proptest::prelude::*;

use super::*;
use crate::provision::Spec;

fn spec(name: &str, role: NodeType, parent: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        role,
        tree: "tree-1".to_owned(),
        parent: parent.to_owned(),
        zone: String::new(),
    }
}

fn action(kind: Kind) -> Action {
    Action { id: "a".to_owned(), kind, reason: "why".to_owned(), urgency: Urgency::High, created: 0 }
}

fn kinds() -> Vec<Kind> {
    let relay = || spec("r", NodeType::Relay, "i");
    let egresses = || vec![spec("e1", NodeType::Egress, "r"), spec("e2", NodeType::Egress, "r")];
    let names = || vec!["e1".to_owned(), "e2".to_owned()];
    vec![
        Kind::Slot { relay: relay(), warm: true },
        Kind::Slot { relay: relay(), warm: false },
        Kind::Grow { slot: SlotUse { relay: "r".to_owned(), start: Some(relay()) }, egresses: egresses() },
        Kind::Grow { slot: SlotUse { relay: "r".to_owned(), start: None }, egresses: egresses() },
        Kind::Shrink { nodes: names() },
        Kind::Clear { nodes: names() },
    ]
}

/// What there is of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct World {
    made: BTreeSet<String>,
    running: BTreeSet<String>,
    attached: BTreeSet<String>,
    offered: BTreeSet<String>,
    draining: BTreeSet<String>,
    announced: usize,
}

impl World {
    /// As it is before an action begins.
    fn before(kind: &Kind) -> World {
        let mut world = World::default();
        if let Kind::Shrink { nodes } | Kind::Clear { nodes } = kind {
            world.made = nodes.iter().cloned().collect();
            world.running = world.made.clone();
            world.attached = world.made.clone();
        }
        world
    }

    fn take(&mut self, step: &Step, broken: &BTreeSet<String>) -> Vec<Failed> {
        let mut failed = Vec::new();
        for node in step.nodes().into_iter().map(str::to_owned) {
            match step {
                Step::Make { .. } | Step::Drain { .. } if broken.contains(&node) => {
                    // Half of it may be there all the same.
                    self.made.insert(node.clone());
                    failed.push(Failed { node, why: "broken".to_owned(), again: false });
                }
                Step::Make { start, .. } => {
                    self.made.insert(node.clone());
                    if *start {
                        self.running.insert(node);
                    }
                }
                Step::Attach { .. } => drop(self.attached.insert(node)),
                Step::Offer { available: true, .. } => drop(self.offered.insert(node)),
                Step::Offer { available: false, .. } => drop(self.offered.remove(&node)),
                Step::Drain { .. } => drop(self.draining.insert(node)),
                Step::Undrain { .. } => drop(self.draining.remove(&node)),
                Step::Detach { .. } => drop(self.attached.remove(&node)),
                Step::Destroy { .. } => {
                    self.made.remove(&node);
                    self.running.remove(&node);
                    self.draining.remove(&node);
                }
                Step::AwaitAlive { .. }
                | Step::Join { .. }
                | Step::AwaitReady { .. }
                | Step::AwaitDrained { .. }
                | Step::Announce => {
                    panic!("{step} is not taken")
                }
            }
        }
        self.announced += usize::from(*step == Step::Announce);
        failed
    }

    fn facts(&self, ill: &BTreeSet<String>) -> Facts {
        let names = ["r", "e1", "e2"].map(str::to_owned);
        let fact = |name: &String| {
            let up = self.running.contains(name) && !ill.contains(name);
            Fact { alive: up, ready: up && self.attached.contains(name), empty: !ill.contains(name) }
        };
        let nodes = names.iter().map(|name| (name.clone(), fact(name))).collect();
        Facts { nodes, patience: Patience { healthy: 10_000, drained: 20_000 } }
    }
}

/// What goes wrong.
#[derive(Clone, Debug)]
struct Trouble {
    /// Nodes that the back end refuses to make, or that refuse to drain.
    broken: BTreeSet<String>,
    /// Nodes that never come up, or never become empty.
    ill: BTreeSet<String>,
    /// After so many steps that were taken the process dies before that is recorded, each time.
    deaths: BTreeSet<usize>,
}

fn names() -> impl Strategy<Value = BTreeSet<String>> {
    prop::collection::btree_set(
        prop::sample::select(vec!["r".to_owned(), "e1".to_owned(), "e2".to_owned()]),
        0..4,
    )
}

fn trouble() -> impl Strategy<Value = Trouble> {
    (names(), names(), prop::collection::btree_set(0..30usize, 0..8))
        .prop_map(|(broken, ill, deaths)| Trouble { broken, ill, deaths })
}

/// Carries it out to its end.
fn run(action: &Action, trouble: &Trouble) -> (World, Outcome) {
    let mut world = World::before(&action.kind);
    let mut progress = Progress::begun(0);
    let (mut now, mut taken) = (0, 0);
    for _ in 0..1000 {
        let facts = world.facts(&trouble.ill);
        // What is recorded is all that the next process knows.
        let recorded = serde_json::to_string(&progress).unwrap();
        progress = serde_json::from_str(&recorded).unwrap();
        match next(action, &progress, &facts, now) {
            Next::Take(step) => {
                let failed = world.take(&step, &trouble.broken);
                taken += 1;
                if !trouble.deaths.contains(&taken) {
                    progress.took(action, &step, failed, &facts.patience, now);
                }
            }
            Next::Reached(_) => progress.reached(now),
            Next::Wait { until, .. } => {
                assert!(until > now);
                now = until;
            }
            Next::GiveUp(nodes) => progress.give_up(action, nodes, now),
            Next::Done(outcome) => return (world, outcome),
        }
        now += 10;
    }
    panic!("{action} does not end: {progress:?}");
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn steps_come_in_their_order() {
    let words = |kind: Kind| {
        let name = |step: &Step| serde_json::to_value(step).unwrap()["step"].as_str().unwrap().to_owned();
        steps(&action(kind), &BTreeMap::new()).iter().map(name).collect::<Vec<_>>().join(" ")
    };
    let [warm, cold, grow_cold, grow, shrink, clear] = kinds().try_into().unwrap();
    assert_eq!(words(warm), "make awaitAlive attach awaitReady offer");
    assert_eq!(words(cold), "make");
    let growing = "make join awaitReady detach destroy announce";
    assert_eq!(words(grow), growing);
    assert_eq!(words(grow_cold), format!("make awaitAlive attach awaitReady offer {growing}"));
    assert_eq!(words(shrink), "drain awaitDrained undrain detach destroy announce");
    assert_eq!(words(clear), "detach destroy");
}

#[test]
fn without_trouble_all_of_it_is_done() {
    let none = Trouble { broken: BTreeSet::new(), ill: BTreeSet::new(), deaths: BTreeSet::new() };
    for kind in kinds() {
        let action = action(kind.clone());
        let (world, outcome) = run(&action, &none);
        assert_eq!(outcome, Outcome::Done, "{action}");
        let wanted = match kind {
            Kind::Slot { warm: true, .. } => World {
                made: set(&["r"]),
                running: set(&["r"]),
                attached: set(&["r"]),
                offered: set(&["r"]),
                ..World::default()
            },
            Kind::Slot { warm: false, .. } => World { made: set(&["r"]), ..World::default() },
            Kind::Grow { slot, .. } => {
                let mut all = set(&["e1", "e2"]);
                let offered = if slot.start.is_some() { set(&["r"]) } else { BTreeSet::new() };
                all.extend(offered.clone());
                World {
                    made: all.clone(),
                    running: all.clone(),
                    attached: all,
                    offered,
                    announced: 1,
                    ..World::default()
                }
            }
            Kind::Shrink { .. } => World { announced: 1, ..World::default() },
            Kind::Clear { .. } => World::default(),
        };
        assert_eq!(world, wanted, "{action}");
    }
}

#[test]
fn one_egress_that_does_not_come_up_does_not_keep_the_others_from_serving() {
    let ill = Trouble { broken: BTreeSet::new(), ill: set(&["e2"]), deaths: BTreeSet::new() };
    let (world, outcome) = run(&action(kinds()[3].clone()), &ill);
    assert!(matches!(outcome, Outcome::Partly { without } if without.keys().eq(["e2"])));
    assert_eq!((world.made, world.attached), (set(&["e1"]), set(&["e1"])));
}

#[test]
fn each_egress_is_attached_as_it_comes_up_and_waits_for_no_other() {
    let action = action(kinds()[3].clone());
    let mut progress = Progress::begun(0);
    let mut attached = Vec::new();
    // e1 lives at once, e2 much later, and Redis is away in between.
    for now in (0..9_000).step_by(100) {
        let alive = |lives: bool| Fact { alive: lives, ..Fact::default() };
        let nodes = [("e1", true), ("e2", now >= 8_000)].map(|(name, lives)| (name.to_owned(), alive(lives)));
        let facts = Facts { nodes: nodes.into(), patience: Patience { healthy: 10_000, drained: 20_000 } };
        match next(&action, &progress, &facts, now) {
            Next::Take(step) => {
                let is_away = attached.len() == 1 && now < 8_500;
                let away = || Failed { node: "e2".to_owned(), why: "away".to_owned(), again: true };
                let failed = if is_away { vec![away()] } else { Vec::new() };
                if let (Step::Attach { nodes, .. }, true) = (&step, failed.is_empty()) {
                    attached.push((now, nodes.join(" ")));
                }
                progress.took(&action, &step, failed, &facts.patience, now);
            }
            Next::Reached(_) => progress.reached(now),
            Next::Wait { .. } => {}
            Next::GiveUp(_) | Next::Done(_) => panic!("{progress:?}"),
        }
    }
    assert_eq!(attached, [(100, "e1".to_owned()), (8_500, "e2".to_owned())]);
    assert!(matches!(progress.step(&action), Some(Step::AwaitReady { .. })), "{progress:?}");
}

#[test]
fn one_that_the_back_end_refuses_again_and_again_does_not_hold_back_those_that_it_makes() {
    let action = action(kinds()[3].clone());
    let mut progress = Progress::begun(0);
    let refused = |node: &str| Failed { node: node.to_owned(), why: "no capacity".to_owned(), again: true };
    let mut now = 0;
    while let Some(step @ Step::Make { .. }) = progress.step(&action) {
        let failed = if step.nodes().contains(&"e2") { vec![refused("e2")] } else { Vec::new() };
        progress.took(&action, &step, failed, &Patience::default(), now);
        now = progress.again_at.max(now);
    }
    assert!(now == 3_500 && progress.given_up.keys().eq(["e2"]), "{now}: {progress:?}");

    // Of which nothing is made at all, that is tried for as long as ever.
    let mut progress = Progress::begun(0);
    for now in [0, 1_000, 3_000, 7_000, 20_000] {
        let step = progress.step(&action).unwrap();
        progress.took(&action, &step, vec![refused("e1"), refused("e2")], &Patience::default(), now);
    }
    assert!(progress.given_up.is_empty(), "{progress:?}");
}

#[test]
fn who_does_not_become_empty_serves_as_before() {
    let full = Trouble { broken: BTreeSet::new(), ill: set(&["e2"]), deaths: BTreeSet::new() };
    let (world, outcome) = run(&action(kinds()[4].clone()), &full);
    assert!(matches!(outcome, Outcome::Partly { without } if without.keys().eq(["e2"])));
    assert_eq!((world.made, world.attached, world.draining), (set(&["e2"]), set(&["e2"]), set(&[])));
}

#[test]
fn who_goes_on_by_a_clock_that_is_behind_waits_no_longer_for_it() {
    let hour = 3_600_000;
    let mut progress = Progress { since: hour, again_at: hour, ..Progress::begun(hour) };
    progress.not_ahead(1_000);
    assert_eq!((progress.since, progress.again_at), (1_000, 31_000));
    let before = progress.clone();
    progress.not_ahead(2_000);
    assert_eq!(progress, before);
}

#[test]
fn one_that_lives_again_is_left_when_the_others_are_cleared_away() {
    let action = action(Kind::Clear { nodes: vec!["e1".to_owned(), "e2".to_owned()] });
    let mut progress = Progress::begun(0);
    let lives = |again| Failed { node: "e1".to_owned(), why: "lives again".to_owned(), again };
    let took = |progress: &mut Progress, failed, now| {
        let step = progress.step(&action).unwrap();
        progress.took(&action, &step, failed, &Patience::default(), now);
    };
    took(&mut progress, vec![lives(true)], 500_000);
    assert!(progress.given_up.is_empty(), "it may be cleared away the next time, however late");
    took(&mut progress, vec![lives(false)], 600_000);
    assert_eq!(progress.step(&action), Some(Step::Detach { nodes: vec!["e2".to_owned()] }));
    took(&mut progress, Vec::new(), 600_000);
    assert_eq!(progress.step(&action), Some(Step::Destroy { nodes: vec!["e2".to_owned()] }));
    took(&mut progress, Vec::new(), 600_000);
    assert!(matches!(progress.outcome(&action), Outcome::Partly { .. }) && progress.step(&action).is_none());
}

#[test]
fn what_may_work_later_is_tried_again_with_longer_and_longer_pauses() {
    let action = action(kinds()[5].clone());
    let mut progress = Progress::begun(0);
    let (mut now, mut pauses) = (0, Vec::new());
    for _ in 0..9 {
        let failed = Failed { node: "e1".to_owned(), why: "away".to_owned(), again: true };
        let step = progress.step(&action).unwrap();
        progress.took(&action, &step, vec![failed], &Patience::default(), now);
        let Next::Wait { until, why } = next(&action, &progress, &Facts::default(), now) else { panic!() };
        assert!(why.contains("away"), "{why}");
        pauses.push(until - now);
        now = until;
        // It was taken again.
        assert!(matches!(next(&action, &progress, &Facts::default(), now), Next::Take(_)));
    }
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
}

proptest! {
    /// Whatever fails, and wherever the process dies: nothing is half there at the end.
    #[test]
    fn nothing_is_orphaned(kind in prop::sample::select(kinds()), trouble in trouble()) {
        let action = action(kind.clone());
        let (world, outcome) = run(&action, &trouble);
        let without = match &outcome {
            Outcome::Done => BTreeMap::new(),
            Outcome::Partly { without } => without.clone(),
            Outcome::Undone { .. } => action.nodes().iter().map(|node| ((*node).to_owned(), String::new())).collect(),
            Outcome::CalledBack { why } => panic!("nobody has called it back: {why}"),
        };
        let (gone, kept): (BTreeSet<String>, BTreeSet<String>) =
            action.nodes().into_iter().map(str::to_owned).partition(|node| without.contains_key(node));
        match kind {
            Kind::Slot { warm, .. } => {
                prop_assert_eq!(&world.made, &kept);
                prop_assert_eq!(&world.attached, if warm { &kept } else { &world.running });
                prop_assert_eq!(&world.offered, &world.running);
            }
            Kind::Grow { slot, .. } => {
                // A slot that could be offered stays, though the egresses below it came to nothing.
                let whole: BTreeSet<String> = slot.start.into_iter().map(|relay| relay.name)
                    .filter(|relay| world.offered.contains(relay)).collect();
                let kept: BTreeSet<String> = kept.union(&whole).cloned().collect();
                prop_assert_eq!(&world.made, &kept);
                prop_assert_eq!(&world.running, &kept);
                prop_assert_eq!(&world.attached, &kept);
                prop_assert!(world.offered.is_subset(&kept));
            }
            Kind::Shrink { .. } => {
                // Given up is to stay.
                prop_assert_eq!(&world.made, &gone);
                prop_assert_eq!(&world.attached, &gone);
            }
            Kind::Clear { .. } => prop_assert_eq!(&world, &World::default()),
        }
        prop_assert!(world.draining.is_empty(), "{:?}", world.draining);
    }
}
