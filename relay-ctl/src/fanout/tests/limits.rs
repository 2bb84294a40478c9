//! More than there is room for, and faster than the grace allows: an error, and nothing has changed.

use std::collections::{BTreeMap, BTreeSet};

use relay_common::layout::{CHILD_SLOTS, MAX_CHILDREN, MAX_ROUTES};

use super::world::World;
use super::{child, everyone, stream, subset};
use crate::fanout::{ChildId, FanoutError, GRACE_MS, MAX_SUBSETS, Wanted, children_of_mask, mask};

fn world() -> World {
    let mut world = World::new(vec![stream(0), stream(1)]);
    world.thorough = false;
    world
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
fn more_different_sets_than_there_are_is_an_error_that_waiting_does_not_fix() {
    let mut world = world();
    let most = MAX_SUBSETS as u32;
    let mut wanted = everyone(0..16);
    wanted.routes = (1..=most).map(|number| (stream(number), numbered_subset(number))).collect();
    world.change(&wanted).unwrap();
    wanted.routes.insert(stream(0), numbered_subset(most + 1));
    assert_eq!(world.plan(&wanted), Err(FanoutError::TooManySets));
    world.now += GRACE_MS;
    assert_eq!(world.plan(&wanted), Err(FanoutError::TooManySets));
}

#[test]
fn the_most_sets_that_can_be_are_all_replaced_in_one_change() {
    let mut world = world();
    let most = MAX_SUBSETS as u32;
    let mut wanted = everyone(0..16);
    for generation in 0..4 {
        let first = 1 + generation * most;
        wanted.routes = (1..=most).map(|number| (stream(number), numbered_subset(first + number))).collect();
        world.change_patiently(&wanted);
    }
}

#[test]
fn changes_faster_than_the_grace_are_busy_and_harmless() {
    let mut world = world();
    let all = |host| Wanted {
        children: (0..MAX_CHILDREN).map(|id| (id, child(id, 2, host))).collect(),
        ..Wanted::default()
    };
    for generation in 1..=3 {
        world.change(&all(generation)).unwrap();
    }
    assert_eq!(world.change(&all(4)), Err(FanoutError::Busy), "3 × 256 of {CHILD_SLOTS} slots are taken");
    world.now += GRACE_MS - 1;
    assert_eq!(world.change(&all(4)), Err(FanoutError::Busy));
    world.now += 1;
    world.change(&all(4)).unwrap();
}

/// Room for members runs out last and in the middle of a plan.
#[test]
fn a_plan_that_fails_half_way_changes_nothing() {
    let mut world = world();
    // All but two children each, every pair a different one.
    let pairs = (0..MAX_CHILDREN).flat_map(|one| (0..one).map(move |other| [one, other]));
    let without = |pair: [ChildId; 2]| subset((0..MAX_CHILDREN).filter(|id| !pair.contains(id)));
    let routes: BTreeMap<_, _> = (1..=MAX_SUBSETS as u32).map(stream).zip(pairs.map(without)).collect();
    let wanted = |host| Wanted {
        // Every set has one of the three that change, so every set is built anew.
        children: (0..MAX_CHILDREN).map(|id| (id, child(id, 2, if id < 3 { host } else { 0 }))).collect(),
        routes: routes.clone(),
    };
    let mut refused = Ok(Vec::new());
    for host in 1..8 {
        refused = world.plan(&wanted(host));
        if refused.is_err() {
            break;
        }
    }
    assert_eq!(refused, Err(FanoutError::Busy));
    world.now += GRACE_MS;
    assert!(world.plan(&wanted(9)).is_ok());
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
        assert_eq!(children_of_mask(&mask::mask(&children)), children);
    }
}
