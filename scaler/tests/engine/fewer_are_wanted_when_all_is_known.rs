use node::overview::State;
use scaler::decide::Decision;
use scaler::decide::Verdict::{Noop, ScaleIn};
use scaler::model::{Figures, Reading};

use crate::world::{World, shrunk};

/// Something about a tree.
type Change = fn(&mut World);

/// Twenty for ten viewers, and a look every 2 s for so long.
fn after(seconds: u64, change: impl Fn(&mut World)) -> Decision {
    let mut world = World::with_pools(20);
    let mut last = None;
    for _ in 0..=seconds / 2 {
        world.viewers(10);
        world.calm();
        change(&mut world);
        last = Some(world.decide());
        world.now += 2_000;
    }
    last.unwrap()
}

#[test]
fn after_it_has_been_so_for_long_enough() {
    assert_eq!(after(298, |_| ()).verdict, Noop);
    let decision = after(300, |_| ());
    assert_eq!((decision.verdict, decision.count), (ScaleIn, 4), "{decision:?}");
}

/// A scaler that was told of no Prometheus would never take any away, and warn of it for ever.
#[test]
fn without_a_prometheus_the_trees_own_figures_are_enough() {
    let decision = after(300, |w| w.figures = Figures { unwanted: true, ..Figures::default() });
    assert_eq!((decision.verdict, decision.count), (ScaleIn, 4), "{decision:?}");
    assert_eq!(decision.warnings, Vec::<String>::new());
}

#[test]
fn a_leader_whose_clock_was_ahead_does_not_keep_the_next_one_from_it() {
    let begin = crate::world::BEGIN;
    let tomorrow = serde_json::json!({ "changed": begin + 86_400_000, "looked": begin, "serving": [] });
    let decision = after(300, |world| {
        if world.now == begin {
            world.memory = serde_json::from_value(tomorrow.clone()).unwrap();
        }
    });
    assert_eq!(decision.verdict, ScaleIn, "{decision:?}");
}

#[test]
fn not_while_anything_is_unknown() {
    let unknown: [(&str, Change); 8] = [
        ("Prometheus is away", |w| w.figures.problem = Some("connection refused".to_owned())),
        ("no CPU", |w| w.figures.cpu = None),
        ("no memory", |w| w.figures.memory = None),
        ("no drops", |w| w.figures.drops = None),
        ("old", |w| w.figures.cpu = Some(Reading { value: 0.1, at: w.now - 61_000 })),
        ("no number", |w| w.figures.cpu = Some(Reading { value: f64::NAN, at: w.now })),
        ("not all are scraped", |w| w.figures.scraped = Some(Reading { value: 0.95, at: w.now })),
        ("one is in doubt", |w| w.node("e11").state = State::Doubtful),
    ];
    for (what, change) in unknown {
        let decision = after(400, change);
        assert_eq!(decision.verdict, Noop, "{what}");
        assert!(decision.reason.contains("not all is known"), "{what}: {decision:?}");
        assert!(!decision.warnings.is_empty(), "{what}: {decision:?}");
    }
}

#[test]
fn not_while_the_tree_or_the_back_end_is_read_in_part() {
    type Part = fn(&mut scaler::model::Observation);
    let parts: [Part; 3] = [
        |seen| seen.carriers_unknown = Some("too many mountpoints".to_owned()),
        |seen| seen.problem = Some("Redis was slow".to_owned()),
        |seen| seen.machines = None,
    ];
    for change in parts {
        let mut world = World::with_pools(20);
        for _ in 0..200 {
            world.viewers(10);
            world.calm();
            let mut seen = world.seen();
            change(&mut seen);
            let (decision, actions) = world.look_on(&seen);
            assert_eq!((decision.verdict, shrunk(&actions)), (Noop, vec![]), "{decision:?}");
        }
        assert_eq!(world.looks(298, 10), []);
        assert_ne!(world.looks(10, 10), []);
    }
}

#[test]
fn not_while_there_is_enough_to_do() {
    let busy: [(&str, Change); 6] = [
        ("CPU", |w| w.figures.cpu = Some(Reading { value: 0.2, at: w.now })),
        ("memory", |w| w.figures.memory = Some(Reading { value: 0.3, at: w.now })),
        ("port pool", |w| w.figures.port_pool = Some(Reading { value: 30.0, at: w.now })),
        ("overloaded", |w| w.figures.overloaded.extend(["e01".to_owned()])),
        // 16 * 300 * 0.4 would be 1920.
        ("places", |w| w.viewers(2_300)),
        ("baseline", |w| w.settings.limits.baseline = 20),
    ];
    for (what, change) in busy {
        let decision = after(400, change);
        assert_ne!(decision.verdict, ScaleIn, "{what}");
    }
}

#[test]
fn a_break_begins_the_wait_anew() {
    let mut world = World::with_pools(20);
    assert_eq!(world.looks(298, 10), []);
    world.calm();
    world.figures.cpu = None;
    world.look();
    assert_eq!(world.looks(298, 10), []);
    assert_ne!(world.looks(10, 10), []);
}

#[test]
fn nobody_who_looked_away_knows() {
    let mut world = World::with_pools(20);
    assert_eq!(world.looks(200, 10), []);
    world.now += 100_000;
    assert_eq!(world.looks(298, 10), []);
}

#[test]
fn a_few_at_a_time_down_to_what_is_ready() {
    let mut world = World::with_pools(20);
    let changes = world.looks(3_600, 0);
    assert_eq!(changes.iter().map(|(_, _, count)| *count).collect::<Vec<_>>(), [4, 4, 4]);
    assert!(changes.windows(2).all(|two| two[1].0 - two[0].0 >= 300_000), "{changes:?}");
    assert_eq!(world.egresses(), 8);

    let mut world = World::with_pools(20);
    world.settings.limits.ready_places = 3_000;
    world.looks(3_600, 0);
    assert_eq!(world.egresses(), 13, "a quarter more than is to be ready: 3750 places");
}

#[test]
fn those_who_stay_can_bear_the_work() {
    let mut world = World::with_pools(3);
    world.settings.limits.baseline = 1;
    world.settings.limits.ready_places = 0;
    world.settings.thresholds.cpu_in = 65.0;
    for _ in 0..200 {
        world.viewers(10);
        world.calm();
        world.figures.cpu = Some(Reading { value: 0.6, at: world.now });
        let (decision, actions) = world.look();
        // 0.6 * 3 / 2 would be too much.
        assert_eq!(decision.verdict, Noop, "{decision:?}");
        assert_eq!(shrunk(&actions), [""; 0]);
    }
}

#[test]
fn at_once_when_the_maximum_is_lowered_and_prometheus_need_not_agree() {
    let mut world = World::with_pools(20);
    world.looks(60, 3_000);
    world.settings.limits.maximum = 12;
    for _ in 0..10 {
        world.viewers(3_000);
        world.figures = Figures { problem: Some("away".to_owned()), ..Figures::default() };
        let (decision, actions) = world.look();
        let going = shrunk(&actions).into_iter().filter(|name| name.starts_with('e')).count();
        assert!(going <= 4, "step-in: {actions:?}");
        assert_eq!(decision.count as usize, going, "{decision:?}");
    }
    assert_eq!(world.egresses(), 12);
}

#[test]
fn below_a_maximum_only_as_far_as_viewers_and_sessions_have_another_place() {
    let mut world = World::with_pools(20);
    world.machines.remove("e00");
    let of = |names: [&str; 1]| names.map(str::to_owned).into();
    world.carriers.insert("only".to_owned(), of(["e01"]));
    world.settings.limits.maximum = 8;
    let mut last = None;
    for _ in 0..20 {
        world.viewers(5_000);
        world.calm();
        last = Some(world.look().0);
    }
    // 16 would have 4,800 places.
    let decision = last.unwrap();
    assert_eq!((world.egresses(), decision.verdict), (17, Noop));
    assert!(
        decision.warnings.iter().any(|line| line.contains("limits.maximum is 8, but none can go")),
        "{decision:?}"
    );
    for _ in 0..20 {
        world.viewers(0);
        world.calm();
        world.look();
    }
    assert_eq!(world.egresses(), 8);
    assert!(world.nodes.contains_key("e00"), "people made it");
    assert!(world.nodes.contains_key("e01"), "it alone carries a session");
}

#[test]
fn beyond_a_maximum_nobody_goes_while_the_tree_is_read_in_part() {
    type Part = fn(&mut scaler::model::Observation);
    let parts: [Part; 4] = [
        |seen| seen.carriers_unknown = Some("too many mountpoints".to_owned()),
        |seen| seen.problem = Some("Redis was slow".to_owned()),
        |seen| seen.machines = None,
        |seen| seen.nodes[3].state = State::Doubtful,
    ];
    for change in parts {
        let mut world = World::with_pools(20);
        world.settings.limits.maximum = 12;
        world.viewers(10);
        let mut seen = world.seen();
        change(&mut seen);
        let (decision, actions) = world.look_on(&seen);
        assert_eq!((decision.verdict, shrunk(&actions)), (Noop, vec![]), "{decision:?}");
        assert_eq!(decision.warnings.iter().filter(|line| line.contains("limits.maximum is 12")).count(), 1);
    }
}
