use node::overview::State;
use scaler::action::Urgency::{Critical, High};
use scaler::decide::Verdict::{Noop, ScaleOut};
use scaler::model::Reading;

use crate::world::World;

/// Eight egresses have 2,400 places; 500 are to be free at any time.
#[test]
fn places_that_run_short() {
    for (viewers, wanted, urgency) in [
        (0, 0, None),
        (1_900, 0, None),
        // 500 free is not enough: 1901 / 0.7 = 2715.7, but 1901 + 500 = 2401.
        (1_901, 2, Some(High)),
        (2_000, 2, Some(High)),
        // All places are taken, 3429 would be 70 %.
        (2_400, 4, Some(Critical)),
    ] {
        let mut world = World::with(8);
        world.viewers(viewers);
        let decision = world.decide();
        assert_eq!(decision.count, wanted, "{viewers}: {decision:?}");
        assert_eq!(decision.verdict, if wanted > 0 { ScaleOut } else { Noop }, "{viewers}");
        if let Some(urgency) = urgency {
            assert_eq!(decision.urgency, urgency, "{viewers}: {decision:?}");
            assert!(decision.reason.contains(&format!("{viewers} viewers have 2400 places")), "{decision:?}");
        }
        assert_eq!(decision.metrics["viewers"], f64::from(viewers));
    }
}

/// The monitoring document's conditions, in its order.
#[test]
fn figures_of_prometheus() {
    type Set = fn(&mut scaler::model::Figures, Reading);
    let table: [(&str, Set, f64, f64, u32, _); 4] = [
        ("high CPU usage", |f, r| f.cpu = Some(r), 0.70, 0.71, 2, High),
        ("high memory usage", |f, r| f.memory = Some(r), 0.80, 0.81, 2, High),
        ("port pool near exhaustion", |f, r| f.port_pool = Some(r), 85.0, 86.0, 2, Critical),
        ("packet loss", |f, r| f.drops = Some(r), 100.0, 101.0, 1, High),
    ];
    for (reason, set, well, ill, wanted, urgency) in table {
        let mut world = World::with(8);
        world.viewers(800);
        set(&mut world.figures, Reading { value: well, at: world.now });
        assert_eq!(world.decide().verdict, Noop, "{reason}");
        set(&mut world.figures, Reading { value: ill, at: world.now });
        let decision = world.decide();
        assert_eq!((decision.verdict, decision.count), (ScaleOut, wanted), "{decision:?}");
        assert_eq!(decision.urgency, urgency, "{decision:?}");
        assert!(decision.reason.starts_with(reason), "{decision:?}");
    }
}

#[test]
fn a_figure_asks_again_only_if_the_last_ones_helped() {
    let mut world = World::with_pools(8);
    let mut look = |cpu: f64, viewers: u32| {
        world.viewers(viewers);
        world.calm();
        world.figures.cpu = Some(Reading { value: cpu, at: world.now });
        let (decision, _) = world.look();
        (decision.verdict, decision.warnings.iter().any(|line| line.contains("another cause")))
    };
    assert_eq!(look(0.9, 800), (ScaleOut, false));
    for _ in 0..14 {
        assert_eq!(look(0.9, 800), (Noop, false), "it rests");
    }
    for _ in 0..100 {
        assert_eq!(look(0.9, 800), (Noop, true), "it was no help");
    }
    assert_eq!(look(0.9, 1_000), (ScaleOut, false), "there is more to do");
    for _ in 0..20 {
        look(0.9, 1_000);
    }
    assert_eq!(look(0.75, 1_000), (ScaleOut, false), "it was of some help");
    for _ in 0..20 {
        look(0.6, 1_000);
    }
    assert_eq!(look(0.75, 1_000), (ScaleOut, false), "it was well between");
}

#[test]
fn an_egress_that_is_overloaded_once() {
    let mut world = World::with_pools(8);
    let mut look = |overloaded: &[&str]| {
        world.viewers(800);
        world.calm();
        world.figures.overloaded.extend(overloaded.iter().map(|name| (*name).to_owned()));
        world.look().0
    };
    let decision = look(&["e03"]);
    assert_eq!((decision.verdict, decision.count, decision.urgency), (ScaleOut, 1, Critical));
    assert!(decision.reason.contains("e03"), "{decision:?}");
    for _ in 0..200 {
        assert_eq!(look(&["e03"]).verdict, Noop);
    }
    assert_eq!(look(&["e03", "e04"]).count, 1);
}

#[test]
fn what_lacks_since_nodes_are_ill_is_critical() {
    let mut world = World::with(8);
    world.viewers(100);
    for state in [State::Degraded, State::CutOff, State::Doubtful, State::Gone] {
        let mut world = world.clone();
        world.node("e05").state = state;
        let decision = world.decide();
        assert_eq!((decision.verdict, decision.count, decision.urgency), (ScaleOut, 1, Critical));
        assert!(decision.reason.contains("unhealthy: e05"), "{decision:?}");
    }
    world.settings.limits.baseline = 7;
    world.node("e05").state = State::Gone;
    let decision = world.decide();
    assert_eq!(decision.verdict, Noop, "the others are enough: {decision:?}");
    assert_eq!(decision.warnings, ["unhealthy: e05"]);
}

/// 333 viewers a second, into a tree with 2,400 places: who waited for 80 % of them to be taken would have 1.5 s left.
#[test]
fn a_flash_crowd_within_five_seconds() {
    let mut world = World::with_pools(8);
    world.takes = 10_000;
    assert_eq!(world.looks(60, 0), []);
    let begin = world.now;
    let mut first = None;
    for second in (2..=30).step_by(2) {
        world.viewers((second * 333).min(world.egresses() * 300));
        world.calm();
        let at = world.now + 2_000 - begin;
        let (decision, _) = world.look();
        if decision.verdict == ScaleOut && first.is_none() {
            first = Some((at, decision.urgency));
        }
    }
    assert_eq!(first, Some((4_000, Critical)));
    assert!(world.egresses() + world.running().len() as u32 >= 35, "10,000 need 34");
}

#[test]
fn never_more_than_the_maximum_or_the_step() {
    let mut world = World::with(8);
    world.settings.limits.maximum = 10;
    world.viewers(2_400);
    assert_eq!(world.look().0.count, 2);
    world.viewers(3_000);
    let decision = world.look().0;
    assert_eq!(decision.verdict, Noop);
    assert!(decision.warnings.iter().any(|line| line.contains("limits.maximum is 10")), "{decision:?}");

    let mut world = World::with(0);
    world.settings.limits.baseline = 40;
    let (decision, _) = world.look();
    assert_eq!((decision.verdict, decision.count), (ScaleOut, 16));
}

#[test]
fn what_is_on_its_way_counts() {
    let mut world = World::with_pools(8);
    world.takes = 60_000;
    world.viewers(2_000);
    assert_eq!(world.look().0.count, 2);
    for _ in 0..29 {
        assert_eq!(world.look().0.verdict, Noop);
    }
    assert_eq!(world.egresses(), 8);
    world.look();
    assert_eq!(world.egresses(), 10);
}

#[test]
fn failures_make_it_wait() {
    let mut world = World::with_pools(8);
    world.fails = true;
    world.viewers(2_400);
    let mut tries = 0;
    for _ in 0..300 {
        world.viewers(2_400);
        world.calm();
        tries += u32::from(world.look().0.verdict == ScaleOut);
    }
    // After 5, 10, 20, 40, 80, 160 and 300 s.
    assert_eq!(tries, 7, "in 600 s");
    world.fails = false;
    world.viewers(2_400);
    for _ in 0..150 {
        world.look();
    }
    assert_eq!(world.egresses(), 12);
}

#[test]
fn a_tree_without_any_egress_gets_its_baseline() {
    let mut world = World::with(0);
    let (decision, actions) = world.look();
    assert_eq!((decision.verdict, decision.count, decision.urgency), (ScaleOut, 8, High));
    assert_eq!(crate::world::grown(&actions).len(), 8);
    assert_eq!(world.look().0.verdict, Noop);
}

#[test]
fn what_could_not_be_planned_was_not_asked_for() {
    let mut world = World::with(0);
    // Nobody could feed them yet.
    world.nodes.clear();
    for _ in 0..3 {
        let (decision, actions) = world.look();
        assert_eq!((decision.verdict, decision.count, actions), (ScaleOut, 8, vec![]));
    }
    world.add("i", node::record::NodeType::Injection, None);
    let (_, actions) = world.look();
    assert_eq!(crate::world::grown(&actions).len(), 8, "at once");
    assert_eq!(world.look().0.verdict, Noop);
}

/// 3,000 watch where there is room for 3,000, and 4,000 wait whom nobody sees. What is made takes 30 s, and lets in 350 a second.
#[test]
fn viewers_who_have_waited_are_no_sign_of_more_to_come() {
    let mut world = World::with_pools(10);
    world.settings.limits.ready_places = 5_000;
    world.takes = 30_000;
    let mut watching = 3_000;
    for _ in 0..150 {
        let places: u32 = world.nodes.values().map(|node| node.max_viewers).sum();
        watching = places.min(watching + 700).min(7_000);
        world.viewers(watching);
        world.calm();
        world.look();
    }
    assert_eq!(watching, 7_000);
    // 12,000 places are wanted, 300 each.
    assert!((40..=42).contains(&world.egresses()), "{}", world.egresses());
}

/// What could not be made has changed nothing: neither was it of no help, nor has it "just been made".
#[test]
fn what_could_not_be_made_is_wanted_still() {
    let mut world = World::with_pools(8);
    world.fails = true;
    let mut look = |cpu: f64| {
        world.viewers(800);
        world.calm();
        world.figures.cpu = Some(Reading { value: cpu, at: world.now });
        world.look().0
    };
    assert_eq!(look(0.9).verdict, ScaleOut);
    let mut tried = 0;
    for _ in 0..100 {
        let decision = look(0.9);
        assert!(!decision.warnings.iter().any(|line| line.contains("another cause")), "{decision:?}");
        assert!(!decision.reason.contains("more were asked for"), "{decision:?}");
        match decision.verdict {
            ScaleOut => tried += 1,
            _ => assert!(decision.reason.contains("making nodes has failed"), "{decision:?}"),
        }
        assert!(decision.wanted > 0, "{decision:?}");
    }
    // 5, 10, 20, 40 and 80 s after each other.
    assert_eq!(tried, 5);
}

/// Nothing comes of it, so that each look finds the same.
#[test]
fn in_a_dry_run_nothing_has_been_made() {
    let mut world = World::with_pools(8);
    world.settings.dry_run = true;
    world.takes = u64::MAX / 2;
    for _ in 0..30 {
        world.viewers(2_000);
        world.calm();
        let (decision, actions) = world.look();
        assert_eq!((decision.verdict, decision.count), (ScaleOut, 2), "{decision:?}");
        assert!(!actions.is_empty());
        world.running.clear();
    }
}
