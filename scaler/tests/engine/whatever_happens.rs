//! Seeded trees under whatever comes: what must never be is never.

use node::overview::State;
use node::record::NodeType;
use proptest::prelude::*;
use scaler::action::Kind;
use scaler::decide::Verdict;
use scaler::model::{Figures, Reading};

use crate::world::{World, shrunk};

/// What happens before a look.
#[derive(Clone, Debug)]
enum Event {
    Viewers(u32),
    Cpu(f64),
    PrometheusAway,
    Dies(prop::sample::Index),
    Comes(prop::sample::Index),
    Carries(prop::sample::Index),
    Fails(bool),
    Takes(u64),
    Nothing(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..20_000_u32).prop_map(Event::Viewers),
        1 => (0.0..1.0).prop_map(Event::Cpu),
        1 => Just(Event::PrometheusAway),
        2 => any::<prop::sample::Index>().prop_map(Event::Dies),
        2 => any::<prop::sample::Index>().prop_map(Event::Comes),
        1 => any::<prop::sample::Index>().prop_map(Event::Carries),
        1 => any::<bool>().prop_map(Event::Fails),
        1 => (0..100_000_u64).prop_map(Event::Takes),
        6 => (1..100_u32).prop_map(Event::Nothing),
    ]
}

fn index<'a>(world: &'a World, of: &prop::sample::Index, role: NodeType) -> Option<&'a str> {
    let names: Vec<&str> =
        world.nodes.values().filter(|node| node.role == Some(role)).map(|node| node.id.as_str()).collect();
    (!names.is_empty()).then(|| names[of.index(names.len())])
}

fn happen(world: &mut World, event: &Event, viewers: &mut u32, cpu: &mut Option<f64>) -> u32 {
    match event {
        Event::Viewers(some) => *viewers = *some,
        Event::Cpu(some) => *cpu = Some(*some),
        Event::PrometheusAway => *cpu = None,
        Event::Dies(of) => {
            if let Some(name) = index(world, of, NodeType::Egress).map(str::to_owned) {
                world.node(&name).state = State::Gone;
            }
        }
        Event::Comes(of) => {
            if let Some(name) = index(world, of, NodeType::Egress).map(str::to_owned) {
                world.node(&name).state = State::Ok;
            }
        }
        Event::Carries(of) => {
            if let Some(name) = index(world, of, NodeType::Egress).map(str::to_owned) {
                world.carriers.entry("s".to_owned()).or_default().insert(name);
            }
        }
        Event::Fails(fails) => world.fails = *fails,
        Event::Takes(takes) => world.takes = *takes,
        Event::Nothing(looks) => return *looks,
    }
    1
}

/// The state of a tree, and events with their consequences.
fn run(world: &mut World, events: &[Event]) {
    let (mut viewers, mut cpu) = (0, Some(0.1));
    for event in events {
        for _ in 0..happen(world, event, &mut viewers, &mut cpu) {
            let is_new = world.nodes.values().filter(|node| node.state == State::Full);
            let full: Vec<String> = is_new.map(|node| node.id.clone()).collect();
            for name in full {
                world.node(&name).state = State::Ok;
            }
            world.viewers(viewers);
            world.calm();
            match cpu {
                Some(cpu) => world.figures.cpu = Some(Reading { value: cpu, at: world.now }),
                None => world.figures = Figures { problem: Some("away".to_owned()), ..Figures::default() },
            }
            look(world);
        }
    }
}

fn look(world: &mut World) {
    let before = world.clone();
    let (decision, actions) = world.look();
    let limits = &before.settings.limits;
    let shrunk = shrunk(&actions);

    let going: Vec<&str> = shrunk.clone();
    let stays = |name: &str| {
        let is_going = before.running.iter().any(|(action, _)| match &action.kind {
            Kind::Shrink { nodes } | Kind::Clear { nodes } => nodes.iter().any(|node| node == name),
            _ => false,
        });
        !going.contains(&name) && !is_going && before.nodes.get(name).is_some_and(|node| node.serves())
    };
    if decision.verdict == Verdict::ScaleIn {
        let left = before.nodes.keys().filter(|name| stays(name)).count() as u32;
        assert!(left >= limits.baseline, "{left} are left: {actions:#?}");
        let free: u32 = before.nodes.values().filter(|node| stays(&node.id)).map(|node| node.free()).sum();
        let moved: u32 = shrunk.iter().map(|name| before.nodes[*name].viewers).sum();
        assert!(free >= moved + limits.ready_places, "{free} places for {moved} and those who come");
        assert!(before.figures.problem.is_none());
    }
    for (session, carriers) in &before.carriers {
        let was = carriers.iter().any(|name| before.nodes.get(name).is_some_and(|node| node.serves()));
        let takes_one = carriers.iter().any(|name| shrunk.contains(&name.as_str()));
        assert!(!was || !takes_one || carriers.iter().any(|name| stays(name)), "{session} has nobody left");
    }
    // Everything that is being made, and everything that is there.
    let coming = world.running.iter().flat_map(|(action, _)| match &action.kind {
        Kind::Grow { egresses, .. } => egresses.iter().map(|egress| egress.name.as_str()).collect(),
        _ => Vec::new(),
    });
    let machines = world.machines.iter().filter(|(_, machine)| machine.role == NodeType::Egress);
    let mut all: Vec<&str> = machines.map(|(name, _)| name.as_str()).chain(coming).collect();
    all.sort_unstable();
    all.dedup();
    assert!(all.len() as u32 <= limits.maximum, "{} egresses", all.len());
    assert!(decision.count <= limits.step_out.max(limits.step_in));
    // No name is in two actions.
    let names = world.running.iter().flat_map(|(action, _)| match &action.kind {
        Kind::Slot { relay, .. } => vec![relay.name.clone()],
        Kind::Grow { slot, egresses } => {
            let start = slot.start.iter().map(|relay| relay.name.clone());
            start.chain(egresses.iter().map(|egress| egress.name.clone())).collect()
        }
        Kind::Shrink { nodes } | Kind::Clear { nodes } => nodes.clone(),
    });
    let mut names: Vec<String> = names.collect();
    let many = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), many, "{:#?}", world.running);
    // No relay has more children than it may.
    for relay in world.nodes.values().filter(|node| node.role == Some(NodeType::Relay)) {
        let children = world.nodes.values().filter(|node| node.parent.as_ref() == Some(&relay.id));
        assert!(children.count() as u32 <= before.settings.template.children);
    }
}

/// So many trees, or as many as PROPTEST_CASES says.
fn trees(cases: u32) -> ProptestConfig {
    let said = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: said.unwrap_or(cases), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(trees(16))]

    #[test]
    fn limits_hold(
        events in proptest::collection::vec(event(), 1..40),
        egresses in 0_usize..20,
        maximum in 8_u32..60,
        children in 1_u32..20,
    ) {
        let mut world = World::with(0);
        world.settings.limits.maximum = maximum.max(8);
        world.settings.template.children = children;
        world.settings.limits.baseline = 8.min(egresses as u32 + 1);
        run(&mut world, &events);
    }

}

proptest! {
    #![proptest_config(trees(8))]

    /// Whatever was before: with a constant load it comes to rest, within a time that is known beforehand, with enough places; and never
    /// is one change taken back by the next within `in-rest`.
    #[test]
    fn a_constant_load_comes_to_rest(
        events in proptest::collection::vec(event(), 0..20),
        viewers in 0_u32..12_000,
        takes in 0_u64..60_000,
    ) {
        let mut world = World::with_pools(12);
        (world.settings.pace.in_rest, world.settings.pace.in_after) = (60.0, 60.0);
        run(&mut world, &events);
        (world.takes, world.fails) = (takes, false);
        for node in world.nodes.values_mut() {
            node.state = State::Ok;
        }
        let begin = world.now;
        let changes = world.looks(2_400, viewers);
        for two in changes.windows(2) {
            let (one, next) = (two[0], two[1]);
            prop_assert!(one.1 == next.1 || next.0 - one.0 >= 60_000, "{changes:?}");
        }
        let outs = changes.iter().filter(|(_, verdict, _)| *verdict == Verdict::ScaleOut);
        let last = outs.map(|(at, _, _)| at - begin).max().unwrap_or(0);
        // What failed before may have it wait for five minutes.
        prop_assert!(last <= 300_000 + 4 * (takes + 30_000), "more are made after {last} ms: {changes:?}");
        let places = world.egresses() * 300;
        prop_assert!(places >= viewers + 500 && places * 8 >= viewers * 10, "{places} for {viewers}");
        let late: Vec<_> = changes.iter().filter(|(at, _, _)| at - begin > 2 * 3_600_000).collect();
        prop_assert!(late.is_empty(), "{changes:?}");
    }

}

proptest! {
    #![proptest_config(trees(200))]

    /// Who has more viewers never gets fewer egresses.
    #[test]
    fn more_load_never_means_fewer(
        history in proptest::collection::vec(0_u32..4_000, 0..8),
        (less, more) in (0_u32..6_000, 0_u32..6_000),
        (cool, hot) in (0.0_f64..1.0, 0.0_f64..1.0),
    ) {
        let mut world = World::with_pools(20);
        for viewers in history {
            world.viewers(viewers);
            world.calm();
            world.takes = 600_000;
            world.look();
        }
        let asked = |viewers: u32, cpu: f64| {
            let mut world = world.clone();
            world.viewers(viewers);
            world.figures.cpu = Some(Reading { value: cpu, at: world.now });
            let decision = world.decide();
            match decision.verdict {
                Verdict::ScaleOut => i64::from(decision.count),
                Verdict::ScaleIn => -i64::from(decision.count),
                Verdict::Noop => 0,
            }
        };
        let (less, more) = (less.min(more), less.max(more));
        let (cool, hot) = (cool.min(hot), cool.max(hot));
        prop_assert!(asked(less, cool) <= asked(more, cool));
        prop_assert!(asked(more, cool) <= asked(more, hot));
    }
}
