use node::overview::State;
use scaler::decide::Verdict::{Noop, ScaleOut};
use scaler::model::Figures;

use crate::world::World;

#[test]
fn a_tree_that_was_never_read() {
    let mut world = World::with(0);
    let seen = scaler::model::Observation { read: None, ..world.seen() };
    let (decision, actions) = world.look_on(&seen);
    assert_eq!((decision.verdict, decision.known), (Noop, false));
    assert_eq!(decision.warnings.len(), 1);
    assert_eq!(actions, []);
}

#[test]
fn what_was_read_too_long_ago() {
    let mut world = World::with(1);
    let mut seen = world.seen();
    seen.problem = Some("Redis is away".to_owned());
    world.now += 9_000;
    assert_eq!(world.decide_on(&seen).verdict, ScaleOut, "it is not too old yet");
    world.now += 2_000;
    let (decision, actions) = world.look_on(&seen);
    assert_eq!((decision.verdict, decision.known), (Noop, false));
    assert!(decision.reason.contains("11 s ago: Redis is away"), "{decision:?}");
    assert_eq!(actions, []);
}

#[test]
fn a_tree_whose_redis_has_lost_its_data() {
    let mut world = World::with_pools(20);
    world.looks(20, 4_000);
    let full = world.clone();
    for back in [2, 4, 8] {
        let mut world = full.clone();
        world.nodes.retain(|_, node| node.role != Some(node::record::NodeType::Egress));
        for _ in 0..back / 2 {
            let (decision, actions) = world.look();
            assert_eq!((decision.verdict, decision.known), (Noop, false));
            assert_eq!(actions, []);
        }
        world.nodes = full.nodes.clone();
        assert_eq!(world.looks(60, 4_000), [], "they are back after {back} s");
    }
    let mut world = full.clone();
    world.nodes.retain(|_, node| node.role != Some(node::record::NodeType::Egress));
    assert_ne!(world.looks(20, 0), [], "they do not come back");
}

#[test]
fn a_zone_that_is_lost_is_answered_at_once() {
    let mut world = World::with_pools(20);
    world.looks(20, 3_000);
    for n in 0..8 {
        world.node(&format!("e{n:02}")).state = State::Doubtful;
    }
    world.viewers(3_000);
    let (decision, _) = world.look();
    assert_eq!(decision.verdict, ScaleOut, "{decision:?}");
}

#[test]
fn without_prometheus_the_trees_own_places_ask_for_more() {
    let mut world = World::with(8);
    world.figures = Figures { problem: Some("connection refused".to_owned()), ..Figures::default() };
    world.viewers(2_000);
    let decision = world.decide();
    assert_eq!(decision.verdict, ScaleOut);
    assert!(decision.warnings.iter().any(|line| line.contains("connection refused")), "{decision:?}");
}

#[test]
fn figures_of_a_part_may_ask_for_more() {
    let mut world = World::with(8);
    world.viewers(800);
    let reading = |value| Some(scaler::model::Reading { value, at: world.now });
    (world.figures.scraped, world.figures.cpu) = (reading(0.5), reading(0.9));
    assert_eq!(world.decide().verdict, ScaleOut);
}

#[test]
fn without_an_answer_of_the_back_end_nothing_is_taken_away() {
    let mut world = World::with(20);
    world.node("e03").state = State::Gone;
    for _ in 0..400 {
        world.viewers(0);
        world.calm();
        world.node("e03").state = State::Gone;
        let seen = scaler::model::Observation { machines: None, ..world.seen() };
        let (decision, actions) = world.look_on(&seen);
        assert_eq!(decision.verdict, Noop);
        assert_eq!(actions, []);
    }
}
