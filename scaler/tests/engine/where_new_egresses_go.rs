use std::collections::BTreeMap;

use node::overview::State;
use node::record::NodeType;
use scaler::action::{Action, Kind};

use crate::world::{World, grown, out};

/// Under whom how many are put, and whether that one is started first.
fn under(actions: &[Action]) -> Vec<(&str, usize, bool)> {
    let grows = actions.iter().filter_map(|action| match &action.kind {
        Kind::Grow { slot, egresses } => Some((slot.relay.as_str(), egresses.len(), slot.start.is_some())),
        _ => None,
    });
    grows.collect()
}

#[test]
fn the_fullest_that_has_room_then_the_warm_one_then_cold_ones_then_new_ones() {
    let mut world = World::with_pools(10);
    let actions = world.plan(&out(3));
    assert_eq!(under(&actions), [("r0", 3, false)]);
    let names: Vec<&str> = grown(&actions).iter().map(|egress| egress.name.as_str()).collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.starts_with("t-egress-x")), "{names:?}");

    let actions = world.plan(&out(64));
    let under = under(&actions);
    assert_eq!(
        under[..4],
        [("r0", 6, false), ("warm", 16, false), ("cold-1", 16, true), ("cold-2", 16, true)]
    );
    let (new, left, start) = under[4];
    assert!(new.starts_with("t-relay-x") && left == 10 && start, "{under:?}");
}

#[test]
fn what_is_on_its_way_to_a_relay_takes_its_room() {
    let mut world = World::with_pools(10);
    world.takes = 60_000;
    let first = world.plan(&out(4));
    world.running = vec![(first[0].clone(), world.now + 60_000)];
    assert_eq!(under(&world.plan(&out(4))), [("r0", 2, false), ("warm", 2, false)]);
}

#[test]
fn packets_and_bits_limit_a_relay_too() {
    let mut world = World::with_pools(10);
    world.settings.template.packets_per_second = 12 * 187;
    assert_eq!(under(&world.plan(&out(4))), [("r0", 2, false), ("warm", 2, false)]);
    world.settings.template.bits_per_second = 11 * 1_400_000;
    assert_eq!(under(&world.plan(&out(4))), [("r0", 1, false), ("warm", 3, false)]);
}

/// A relay with all its egresses: it is gone, and they live.
fn relay_gone(egresses: usize) -> World {
    let mut world = World::with_pools(egresses);
    world.node("r0").state = State::Gone;
    for n in 0..16 {
        world.node(&format!("e{n:02}")).state = State::CutOff;
    }
    world
}

#[test]
fn who_has_lost_its_parent_gets_another_whatever_was_decided() {
    let mut world = relay_gone(16);
    let actions = world.plan(&out(0));
    assert_eq!(under(&actions), [("warm", 16, false)]);
    assert!(grown(&actions).iter().all(|egress| world.nodes.contains_key(&egress.name)));
    assert_eq!(under(&world.plan(&out(3))), [("warm", 16, false), ("cold-1", 3, true)]);
    // Media that does not come from a relay that nobody has heard of for seconds does not come back by itself.
    world.node("r0").state = State::Doubtful;
    assert_eq!(grown(&world.plan(&out(0))).len(), 16);
    // Those whose parent lives have another problem; those of others are theirs.
    world.node("r0").state = State::Ok;
    assert_eq!(grown(&world.plan(&out(0))).len(), 0);
    world.node("r0").state = State::Gone;
    world.machines.retain(|name, _| !name.starts_with('e'));
    assert_eq!(grown(&world.plan(&out(0))).len(), 0);
}

#[test]
fn who_has_lost_its_parent_waits_for_no_rest_and_new_ones_are_not_made_instead() {
    let mut world = World::with_pools(20);
    world.looks(20, 5_400);
    let all = world.egresses();
    // Most of them at once, and more have just been made.
    world.node("r0").state = State::Doubtful;
    for n in 0..16 {
        world.node(&format!("e{n:02}")).state = State::CutOff;
    }
    let (decision, actions) = world.look();
    let names: Vec<&str> = grown(&actions).iter().map(|egress| egress.name.as_str()).collect();
    assert!(decision.known, "{decision:?}");
    assert_eq!(names.len(), 16, "{decision:?}: {names:?}");
    assert_eq!(world.egresses(), all);
}

#[test]
fn while_making_fails_who_has_lost_its_parent_is_put_under_what_runs() {
    let mut world = relay_gone(16);
    let paused =
        |paused| scaler::decide::Decision { paused, verdict: scaler::decide::Verdict::Noop, ..out(0) };
    assert_eq!(under(&world.plan(&paused(true))), [("warm", 16, false)]);
    world.node("warm").state = State::Gone;
    assert_eq!(under(&world.plan(&paused(true))), []);
    assert_eq!(under(&world.plan(&paused(false))), [("cold-1", 16, true)]);
}

#[test]
fn who_was_detached_by_hand_comes_before_new_ones_and_is_not_put_back_before() {
    let mut world = World::with_pools(16);
    (world.node("e03").parent, world.node("e03").state) = (None, State::Unattached);
    assert_eq!(under(&world.plan(&out(0))), []);
    let actions = world.plan(&out(2));
    let names: Vec<&str> = grown(&actions).iter().map(|egress| egress.name.as_str()).collect();
    assert_eq!((names.len(), names[0]), (2, "e03"));
}

/// A relay that died a moment ago is not missed yet, but those below it say that they get nothing.
#[test]
fn nothing_is_put_under_a_relay_most_of_whose_egresses_are_cut_off() {
    let mut world = World::with_pools(10);
    assert_eq!(under(&world.plan(&out(3))), [("r0", 3, false)]);
    for n in 0..6 {
        world.node(&format!("e{n:02}")).state = State::CutOff;
    }
    assert_eq!(under(&world.plan(&out(3))), [("warm", 3, false)]);
    world.node("e00").state = State::Ok;
    assert_eq!(under(&world.plan(&out(3))), [("r0", 3, false)], "half of them have troubles of their own");
}

/// The whole way: a relay dies, its egresses are cut off, and they serve again under another.
#[test]
fn the_egresses_of_a_dead_relay_are_put_under_another() {
    let mut world = World::with_pools(16);
    world.looks(20, 100);
    world.node("r0").state = State::Gone;
    for n in 0..16 {
        world.node(&format!("e{n:02}")).state = State::CutOff;
    }
    let made = world.nodes.len();
    let begin = world.now;
    while world.nodes.values().filter(|node| node.serves()).count() < 8 {
        world.calm();
        world.look();
        assert!(world.now < begin + 30_000);
    }
    let new = world.nodes.len() - made;
    assert!(new <= 1, "{new} nodes were made: but for a slot there was no need of any");
}

#[test]
fn zones_get_the_same() {
    let mut world = World::with(0);
    world.settings.template.zones = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    world.settings.template.children = 4;
    world.settings.limits.baseline = 24;
    world.settings.limits.step_out = 5;
    world.settings.limits.ready_places = 0;
    for _ in 0..200 {
        world.viewers(0);
        world.calm();
        world.look();
    }
    let mut zones: BTreeMap<&str, u32> = BTreeMap::new();
    for node in world.nodes.values().filter(|node| node.role == Some(NodeType::Egress)) {
        *zones.entry(&node.zone).or_default() += 1;
        assert_eq!(node.zone, world.nodes[node.parent.as_ref().unwrap()].zone, "a sub-tree is in one zone");
    }
    assert_eq!(zones, BTreeMap::from([("a", 8), ("b", 8), ("c", 8)]));
}
