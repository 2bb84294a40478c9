use node::overview::State;
use node::record::NodeType;
use scaler::action::Kind;

use crate::world::{World, cleared, grown, out, shrunk, slots};

fn states(slots: &[(&str, bool)]) -> Vec<bool> {
    slots.iter().map(|(_, warm)| *warm).collect()
}

#[test]
fn one_warm_and_two_cold_by_the_template() {
    let mut world = World::with(16);
    let (_, actions) = world.look();
    assert_eq!(states(&slots(&actions)), [true, false, false]);
    let names: Vec<&str> = slots(&actions).iter().map(|(name, _)| *name).collect();
    assert!(names.iter().all(|name| name.starts_with("t-relay-x1")), "{names:?}");
    for action in &actions {
        let Kind::Slot { relay, .. } = &action.kind else { panic!("{action:?}") };
        assert_eq!((relay.parent.as_str(), relay.tree.as_str()), ("i", "t"));
    }
    assert_eq!(world.look().1, []);
}

#[test]
fn what_is_being_made_is_not_made_again() {
    let mut world = World::with(16);
    world.takes = 60_000;
    assert_eq!(world.look().1.len(), 3);
    for _ in 0..40 {
        assert_eq!(world.look().1, []);
    }
}

#[test]
fn a_lost_one_is_refilled_from_the_cold_ones() {
    let mut world = World::with_pools(16);
    assert_eq!(world.look().1, []);
    world.node("warm").state = State::Gone;
    let (_, actions) = world.look();
    let made = slots(&actions);
    assert_eq!(made[0], ("cold-1", true));
    assert_eq!(states(&made), [true, false]);
}

#[test]
fn one_whose_offer_redis_lost_is_offered_again() {
    let mut world = World::with_pools(16);
    world.slots.remove("warm");
    assert_eq!(slots(&world.look().1), [("warm", true)]);
    assert_eq!(world.look().1, []);
    (world.node("warm").parent, world.node("warm").state) = (None, State::Unattached);
    assert_eq!(slots(&world.look().1), [("warm", true)]);
}

/// With ten of sixteen under r0 there is room for six, and for sixteen more under an empty one.
#[test]
fn warm_is_as_much_room_as_so_many_empty_relays_have() {
    let mut world = World::with_pools(10);
    assert_eq!(world.look().1, []);
    world.settings.template.warm = 2;
    let (_, actions) = world.look();
    assert_eq!(states(&slots(&actions)), [true, false], "32 are wanted, there are 22");
    assert_eq!(world.look().1, []);
}

#[test]
fn empty_relays_beyond_the_pools_go() {
    let mut world = World::with_pools(16);
    world.settings.limits.ready_places = 4_000;
    world.settings.template.cold = 1;
    world.add("warm-2", NodeType::Relay, Some("i"));
    world.machine("warm-2", true);
    world.slots.insert("warm-2".to_owned());
    let (_, actions) = world.look();
    assert_eq!((shrunk(&actions), cleared(&actions)), (vec!["warm-2"], vec!["cold-2"]));
    assert_eq!(world.look().1, []);
}

#[test]
fn relays_of_others_are_used_and_left_alone() {
    let mut world = World::with_pools(16);
    world.add("of-others", NodeType::Relay, Some("i"));
    world.slots.insert("of-others".to_owned());
    let (_, actions) = world.look();
    assert_eq!(shrunk(&actions), ["warm"], "there is room enough without it");
    world.node("e00").parent = Some("of-others".to_owned());
    for _ in 0..10 {
        assert_eq!(shrunk(&world.look().1), [""; 0]);
    }
}

#[test]
fn a_relay_is_no_slot_unless_it_is_offered() {
    let mut world = World::with(0);
    world.add("private", NodeType::Relay, Some("i"));
    let actions = world.plan(&out(1));
    let Kind::Grow { slot, .. } = &actions[0].kind else { panic!("{actions:?}") };
    assert_ne!(slot.relay, "private");
}

#[test]
fn without_an_injection_there_is_nobody_to_feed_them() {
    let mut world = World::with(0);
    world.nodes.clear();
    assert_eq!(world.plan(&out(1)), []);
    world.add("i", NodeType::Injection, None);
    world.node("i").state = State::Draining;
    assert_eq!(world.plan(&out(1)), []);
    world.node("i").state = State::Unattached;
    assert_eq!(grown(&world.plan(&out(1))).len(), 1);
}

/// Two levels: four relays under one relay, four egresses under each.
#[test]
fn depth_and_width_follow_from_the_template() {
    let mut world = World::with(0);
    world.settings.template.depth = 2;
    world.settings.template.children = 4;
    world.settings.limits.baseline = 24;
    world.settings.limits.ready_places = 0;
    for _ in 0..100 {
        world.viewers(0);
        world.calm();
        world.look();
    }
    assert_eq!(world.egresses(), 24);
    let parent = |name: &str| world.nodes[name].parent.clone().unwrap_or_default();
    for node in world.nodes.values().filter(|node| node.role == Some(NodeType::Egress)) {
        assert_eq!(parent(&parent(&parent(&node.id))), "i");
    }
    let of =
        |parent: &str| world.nodes.values().filter(|node| node.parent.as_deref() == Some(parent)).count();
    assert!(world.nodes.keys().filter(|name| *name != "i").all(|name| of(name) <= 4));
    let above = of("i");
    // 6 slots and a warm one.
    assert_eq!(above, 2);
    assert_eq!(world.look().1, []);
}

#[test]
fn no_more_relays_than_can_be_of_use_are_made() {
    let mut world = World::with(8);
    // Each slot that is made dies at once.
    for _ in 0..200 {
        world.viewers(0);
        world.calm();
        world.look();
        for (name, machine) in &world.machines {
            if machine.role == NodeType::Relay && name != "r0" {
                world.nodes.entry(name.clone()).and_modify(|node| node.state = State::Gone);
            }
        }
    }
    let relays = world.machines.values().filter(|machine| machine.role == NodeType::Relay).count();
    assert!(relays <= 15, "{relays}");
}

#[test]
fn nothing_is_made_while_it_fails() {
    let mut world = World::with(16);
    world.fails = true;
    let made: usize = (0..150).map(|_| slots(&world.look().1).len()).sum();
    assert!(made < 30, "{made} in five minutes");
}
