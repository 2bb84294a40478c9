use node::overview::State;
use scaler::action::Kind;

use crate::world::{World, cleared, shrunk};

/// Looks until something is cleared; after how many seconds, and whom.
fn cleared_after(world: &mut World, change: impl Fn(&mut World)) -> (u64, Vec<String>) {
    for second in (0..1_000).step_by(2) {
        world.viewers(100);
        world.calm();
        change(world);
        let (_, actions) = world.look();
        let names = cleared(&actions);
        if !names.is_empty() {
            return (second, names.into_iter().map(str::to_owned).collect());
        }
    }
    (1_000, Vec::new())
}

#[test]
fn a_machine_that_is_in_no_tree() {
    let mut world = World::with_pools(8);
    world.machine("stray", true);
    assert_eq!(cleared_after(&mut world, |_| ()), (90, vec!["stray".to_owned()]));
    assert_eq!(cleared_after(&mut world, |_| ()), (1_000, vec![]));
}

#[test]
fn a_node_that_is_gone_and_its_machine_with_it() {
    let mut world = World::with_pools(9);
    world.look();
    world.machines.remove("e03");
    let gone = |world: &mut World| {
        if let Some(node) = world.nodes.get_mut("e03") {
            node.state = State::Gone;
        }
    };
    assert_eq!(cleared_after(&mut world, gone), (90, vec!["e03".to_owned()]));
}

#[test]
fn one_that_comes_back_stays() {
    let mut world = World::with_pools(9);
    let now = world.now;
    let away = |world: &mut World| {
        let is_away = (world.now - now) / 1_000 % 90 < 80;
        world.node("e03").state = if is_away { State::Gone } else { State::Ok };
    };
    assert_eq!(cleared_after(&mut world, away), (1_000, vec![]));
}

#[test]
fn what_others_made_is_theirs() {
    let mut world = World::with_pools(9);
    world.machines.remove("e03");
    assert_eq!(cleared_after(&mut world, |world| world.node("e03").state = State::Gone), (1_000, vec![]));
}

#[test]
fn cold_slots_are_not_dead() {
    let mut world = World::with_pools(8);
    assert_eq!(cleared_after(&mut world, |_| ()), (1_000, vec![]));
}

#[test]
fn most_that_run_are_not_cleared_at_once() {
    let mut world = World::with_pools(8);
    world.looks(20, 100);
    world.settings.limits.maximum = 8;
    for _ in 0..500 {
        world.calm();
        for n in 0..8 {
            world.node(&format!("e{n:02}")).state = State::Gone;
        }
        let (decision, actions) = world.look();
        assert_eq!(cleared(&actions), [""; 0]);
        world.memory = world.memory.clone();
        if world.now > crate::world::BEGIN + 200_000 {
            assert!(decision.warnings.iter().any(|line| line.contains("likelier")), "{decision:?}");
        }
    }
}

#[test]
fn an_egress_that_lives_and_is_of_no_use_goes_in_the_end() {
    let mut world = World::with_pools(9);
    let begin = world.now;
    loop {
        world.viewers(100);
        world.calm();
        world.node("e03").state = State::Degraded;
        let (_, actions) = world.look();
        if !actions.is_empty() {
            assert_eq!(shrunk(&actions), ["e03"]);
            assert!(matches!(actions[0].kind, Kind::Shrink { .. }));
            break;
        }
        assert!(world.now < begin + 1_000_000);
    }
    assert_eq!(world.now - begin, 212_000, "90 s and 120 s, and a look");
}
