//! Random changes, restarts and kills, at any pace.

use proptest::prelude::*;
use relay_common::layout::{CHILD_SLOTS, MAX_SETS};

use super::world::World;
use super::{child, everyone, packets, stream, subset};
use crate::fanout::{ChildId, GRACE_MS, Wanted};

const CHILDREN: u32 = 7;
const STREAMS: u32 = 4;

#[derive(Clone, Debug)]
enum Edit {
    /// Adds a child, or gives it another interface or address.
    Put(ChildId, u32, u8),
    Remove(ChildId),
    /// Children by bit.
    Route(u32, u8),
    Unroute(u32),
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    /// Edits that come in one change.
    Change(Vec<Edit>),
    /// A devmap is made for the next change.
    FillStock,
    /// The daemon ends and another takes over.
    Restart,
    /// The daemon is killed after that many of a change's map writes, and another takes over.
    KilledDuring(Vec<Edit>, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        4 => (0..CHILDREN, 2..5u32, 1..4u8).prop_map(|(id, ifindex, host)| Edit::Put(id, ifindex, host)),
        2 => (0..CHILDREN).prop_map(Edit::Remove),
        3 => (1..STREAMS, any::<u8>()).prop_map(|(ssrc, mask)| Edit::Route(ssrc, mask & 0x0f)),
        1 => (1..STREAMS).prop_map(Edit::Unroute),
    ];
    prop::collection::vec(edit, 0..5)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..2 * GRACE_MS).prop_map(Step::Wait),
        8 => edits().prop_map(Step::Change),
        2 => Just(Step::FillStock),
        1 => Just(Step::Restart),
        1 => (edits(), 0..40usize).prop_map(|(edits, writes)| Step::KilledDuring(edits, writes)),
    ];
    prop::collection::vec(step, 1..40)
}

fn edit(wanted: &mut Wanted, edits: &[Edit]) {
    for edit in edits {
        match *edit {
            Edit::Put(id, ifindex, host) => drop(wanted.children.insert(id, child(id, ifindex, host))),
            Edit::Remove(id) => drop(wanted.children.remove(&id)),
            Edit::Route(ssrc, mask) => {
                let chosen = subset((0..8).filter(|id| mask >> id & 1 == 1));
                wanted.routes.insert(stream(ssrc), chosen);
            }
            Edit::Unroute(ssrc) => drop(wanted.routes.remove(&stream(ssrc))),
        }
    }
}

/// Streams 1.. have routes from time to time, stream 0 never.
fn world(write_ms: u64) -> World {
    let mut world = World::new((0..STREAMS).map(stream).collect());
    world.write_ms = write_ms;
    world.limit_instances(1_500);
    world
}

/// All that is not in use is available, once nothing waits for its grace any more.
fn assert_nothing_leaked(world: &mut World, wanted: &Wanted) {
    world.now += GRACE_MS;
    world.change_patiently(wanted);
    world.now += GRACE_MS;
    world.change_patiently(wanted);
    let (fanout, maps) = (&world.fanout, &world.maps);
    let halves = fanout.sets.values().flat_map(|set| &set.halves);
    let filled: Vec<_> = halves.filter(|half| half.word.instance() != 0).collect();
    assert_eq!(fanout.slots.available(), CHILD_SLOTS as usize - wanted.children.len());
    let stocked: usize = fanout.stock.values().map(Vec::len).sum();
    assert_eq!(fanout.instances.available(), world.instances - filled.len() - stocked);
    assert_eq!(fanout.set_ids.available(), MAX_SETS as usize - fanout.sets.len());
    assert_eq!(maps.groups.len(), filled.iter().map(|half| half.groups.len()).sum::<usize>());
    assert_eq!(maps.sets.values().filter(|word| word.instance() != 0).count(), filled.len());
    let positions: u32 = fanout.positions.used().map(|(_, count)| count).sum();
    assert_eq!(positions, filled.iter().map(|half| half.span.count).sum::<u32>());
}

proptest! {
    #[test]
    fn every_packet_reaches_the_old_or_the_new_set_and_nothing_leaks(
        steps in steps(),
        write_ms in prop_oneof![Just(0), Just(7), Just(60)],
    ) {
        let mut world = world(write_ms);
        let mut wanted = Wanted::default();
        for step in &steps {
            match step {
                Step::Wait(ms) => world.now += ms,
                Step::Change(edits) => {
                    edit(&mut wanted, edits);
                    world.change_patiently(&wanted);
                }
                Step::FillStock => world.fill_stock(),
                Step::Restart => world.restart(),
                Step::KilledDuring(edits, after) => {
                    edit(&mut wanted, edits);
                    if let Ok(writes) = world.plan(&wanted) {
                        world.carry_out(&writes[..writes.len().min(*after)], &wanted);
                    }
                    world.restart();
                }
            }
        }
        assert_nothing_leaked(&mut world, &wanted);
    }
}

#[test]
fn a_stream_gets_its_own_set_while_the_set_of_all_changes() {
    let mut world = world(0);
    world.change(&everyone([0, 1])).unwrap();
    let mut wanted = everyone([0, 1, 2]);
    wanted.routes.insert(stream(1), subset([0]));
    world.change(&wanted).unwrap();
    wanted = everyone([0, 2]);
    world.change(&wanted).unwrap();
}

#[test]
fn streams_swap_their_sets_while_both_sets_change() {
    let mut world = world(0);
    let mut wanted = everyone([0, 1]);
    wanted.routes.insert(stream(1), subset([0]));
    wanted.routes.insert(stream(2), subset([1]));
    world.change(&wanted).unwrap();
    wanted.children = [(0, child(0, 3, 2)), (1, child(1, 3, 2))].into();
    wanted.routes.insert(stream(1), subset([1]));
    wanted.routes.insert(stream(2), subset([0]));
    world.change(&wanted).unwrap();
}

#[test]
fn a_change_that_says_the_same_writes_nothing() {
    let mut world = world(0);
    let mut wanted = everyone([0, 1, 2]);
    wanted.routes.insert(stream(1), subset([0, 2]));
    world.change(&wanted).unwrap();
    assert_eq!(world.plan(&wanted), Ok(Vec::new()));
}

#[test]
fn a_set_that_keeps_its_children_is_left_alone() {
    use crate::fanout::MapWrite::{AddPeer, Flip, RemovePeer};
    let mut world = world(0);
    let mut wanted = everyone([0, 1, 2]);
    wanted.routes.insert(stream(1), subset([0, 2]));
    world.change(&wanted).unwrap();
    wanted.children.insert(1, child(1, 3, 1));
    let writes = world.plan(&wanted).unwrap();
    let flips: Vec<_> = writes.iter().filter(|write| matches!(write, Flip { .. })).collect();
    assert!(matches!(flips[..], [Flip { half: 0, .. }]), "{writes:?}");
    // 10.2.1.1 becomes 10.3.1.1.
    let peers = writes.iter().filter(|write| matches!(write, AddPeer { .. } | RemovePeer { .. }));
    assert_eq!(peers.count(), 2);
}

#[test]
fn what_a_predecessor_had_not_tidied_up_is_not_taken_from_a_live_set() {
    let mut world = world(0);
    world.change(&everyone([0])).unwrap();
    world.change(&everyone([0, 1])).unwrap();
    // Instance 1 is free again, but its groups are still in the map.
    world.restart();
    world.change(&everyone([0, 1, 2])).unwrap();
    world.now += GRACE_MS;
    world.change(&everyone([0, 1, 2])).unwrap();
    assert_nothing_leaked(&mut world, &everyone([0, 1, 2]));
}

#[test]
fn a_number_that_a_past_route_had_is_not_taken_for_in_use_twice() {
    let mut world = world(0);
    let mut wanted = everyone([0, 1, 2]);
    wanted.routes.insert(stream(1), subset([0]));
    world.change(&wanted).unwrap();
    let had = world.maps.instance_of(&packets(1));
    wanted.routes.clear();
    // Numbers come round, and the set of all children gets that instance.
    let mut host = 0u8;
    while world.maps.instance_of(&packets(0)) != had {
        host = host.wrapping_add(1);
        wanted.children.insert(1, child(1, 2, host));
        world.now += GRACE_MS;
        world.change(&wanted).unwrap();
    }
    world.restart();
    for id in 3..6 {
        wanted.children.insert(id, child(id, 4, 9));
        world.now += GRACE_MS;
        world.change(&wanted).unwrap();
    }
    assert_nothing_leaked(&mut world, &wanted);
}

#[test]
fn routes_of_the_past_do_not_keep_a_new_daemon_from_taking_over() {
    let mut world = world(0);
    world.thorough = false;
    let mut wanted = everyone([]);
    for round in 0..300u32 {
        // Each round has other child slots, and leaves a set behind that named them.
        let host = (round % 250) as u8;
        wanted.children = (0..4).map(|id| (id, child(id, 2 + round / 250, host))).collect();
        wanted.routes = [(stream(1), subset([0, round % 3 + 1]))].into();
        world.now += GRACE_MS;
        world.change(&wanted).unwrap();
        wanted.routes.clear();
        world.now += GRACE_MS;
        world.change(&wanted).unwrap();
    }
    world.restart();
    wanted.children = (0..256).map(|id| (id, child(id, 5, 1))).collect();
    world.change(&wanted).unwrap();
    assert_nothing_leaked(&mut world, &wanted);
}
