//! More than there is room for, and faster than the grace allows: an error, and nothing has changed.

use std::collections::BTreeSet;

use relay_common::layout::{CHILD_SLOTS, MAX_CHILDREN, MAX_ROUTES, MAX_SETS};

use super::world::World;
use super::{child, everyone, stream, subset};
use crate::fanout::{ChildId, FanoutError, GRACE_MS, Wanted, children_of_mask, mask};

fn world() -> World {
    World::new(vec![stream(0), stream(1)])
}

/// A different subset for each number.
fn numbered_subset(number: u32) -> BTreeSet<ChildId> {
    subset((0..16).filter(|bit| number >> bit & 1 == 1))
}

#[test]
fn the_257th_child_is_refused() {
    let mut world = world();
    world.change(&everyone(0..MAX_CHILDREN)).unwrap();
    let mut wanted = everyone(0..MAX_CHILDREN);
    wanted.children.insert(MAX_CHILDREN, child(MAX_CHILDREN, 2, 1));
    assert_eq!(world.plan(&wanted), Err(FanoutError::TooManyChildren));
    world.change(&everyone(0..MAX_CHILDREN)).unwrap();
}

#[test]
fn a_route_more_than_the_map_holds_is_refused() {
    let mut world = world();
    let mut wanted = everyone([0]);
    wanted.routes = (0..MAX_ROUTES).map(|ssrc| (stream(ssrc), subset([0]))).collect();
    world.change(&wanted).unwrap();
    wanted.routes.insert(stream(MAX_ROUTES), subset([0]));
    assert_eq!(world.plan(&wanted), Err(FanoutError::TooManyRoutes));
}

/// "Busy" would be tried again for ever: waiting does not make room for it.
#[test]
fn more_different_sets_than_there_are_is_an_error_that_waiting_does_not_cure() {
    let mut world = world();
    let mut wanted = everyone(0..16);
    wanted.routes = (1..MAX_SETS).map(|number| (stream(number), numbered_subset(number))).collect();
    world.change(&wanted).unwrap();
    wanted.routes.insert(stream(MAX_SETS), numbered_subset(MAX_SETS));
    for _ in 0..3 {
        let refused = world.plan(&wanted);
        assert!(matches!(refused, Err(error) if error != FanoutError::Busy));
        world.now += GRACE_MS;
    }
}

#[test]
fn changes_faster_than_the_grace_are_busy_and_harmless() {
    let mut world = world();
    let all = |host| Wanted {
        children: (0..MAX_CHILDREN).map(|id| (id, child(id, 2, host))).collect(),
        ..Wanted::default()
    };
    world.change(&all(1)).unwrap();
    world.change(&all(2)).unwrap();
    assert_eq!(world.change(&all(3)), Err(FanoutError::Busy), "2 × 256 of {CHILD_SLOTS} slots are taken");
    world.now += GRACE_MS - 1;
    assert_eq!(world.change(&all(3)), Err(FanoutError::Busy));
    world.now += 1;
    world.change(&all(3)).unwrap();
}

/// Room for members runs out last and in the middle of a plan.
#[test]
fn a_plan_that_fails_half_way_changes_nothing() {
    let mut world = world();
    // All but two children each, every pair a different one.
    let pairs = (0..MAX_CHILDREN).flat_map(|one| (0..one).map(move |other| [one, other]));
    let without = |pair: [ChildId; 2]| subset((0..MAX_CHILDREN).filter(|id| !pair.contains(id)));
    let routes: Vec<_> = (1..MAX_SETS).map(stream).zip(pairs.map(without)).collect();
    let wanted = |host| Wanted {
        // Two children of each set change: every set is built anew, and takes its members' room twice.
        children: (0..MAX_CHILDREN).map(|id| (id, child(id, 2, if id < 3 { host } else { 1 }))).collect(),
        routes: routes.iter().cloned().collect(),
    };
    world.change(&wanted(1)).unwrap();
    world.change(&wanted(2)).unwrap();
    assert_eq!(world.change(&wanted(3)), Err(FanoutError::Busy));
    world.now += GRACE_MS;
    world.change(&wanted(3)).unwrap();
}

#[test]
fn a_takeover_that_is_refused_can_be_tried_again() {
    let mut world = world();
    let mut wanted = everyone([0, 1]);
    wanted.routes.insert(stream(1), subset([1]));
    world.change(&wanted).unwrap();
    world.restart();
    assert_eq!(world.plan(&everyone(0..MAX_CHILDREN + 1)), Err(FanoutError::TooManyChildren));
    wanted.children.remove(&0);
    world.change(&wanted).unwrap();
    world.now += GRACE_MS;
    world.change(&wanted).unwrap();
    assert_eq!(world.maps.groups.len(), 2, "the predecessor's groups are gone");
}

#[test]
fn a_mask_names_the_children_it_was_made_of() {
    for children in [subset([]), subset([0]), subset([63, 64, 127, 128, 255]), subset(0..MAX_CHILDREN)] {
        assert_eq!(children_of_mask(&mask(&children)), children);
    }
}
