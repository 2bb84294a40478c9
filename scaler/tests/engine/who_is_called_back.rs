use node::overview::State;
use scaler::action::{Action, Kind, Outcome, Progress, Step, Urgency};
use scaler::decide::Decision;
use scaler::plan::{Recall, recall};

use crate::world::{World, grown, out};

fn emptying(nodes: &[&str]) -> (Action, Progress) {
    let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
    let kind = Kind::Shrink { nodes };
    let action = Action {
        id: "s1".to_owned(),
        kind,
        reason: "few watch".to_owned(),
        urgency: Urgency::Low,
        created: 0,
    };
    (action, Progress::begun(0))
}

fn recalled(world: &mut World, decision: &Decision, running: &[(Action, Progress)]) -> (Vec<String>, usize) {
    let actions = world.plan(decision);
    let running = running.iter().map(|(action, progress)| (action, progress));
    let Recall { actions, back } = recall(decision, &world.seen(), running, actions);
    (back, grown(&actions).len())
}

#[test]
fn those_that_are_being_emptied_come_before_new_ones() {
    let mut world = World::with_pools(8);
    for name in ["e05", "e06"] {
        world.node(name).state = State::Draining;
    }
    let running = [emptying(&["e05", "e06"])];
    assert_eq!(recalled(&mut world, &out(3), &running), (vec!["s1".to_owned()], 1));
    assert_eq!(recalled(&mut world, &out(2), &running), (vec!["s1".to_owned()], 0));
    assert_eq!(recalled(&mut world, &out(1), &running), (vec!["s1".to_owned()], 0), "all of it, or nothing");
    assert_eq!(recalled(&mut world, &out(0), &running).0, Vec::<String>::new());
    // More are wanted, and cannot be made.
    let failing = Decision { count: 0, ..out(2) };
    assert_eq!(recalled(&mut world, &failing, &running).0, ["s1"]);
}

#[test]
fn who_is_of_no_use_or_past_that_is_not_called_back() {
    let mut world = World::with_pools(8);
    world.node("e05").state = State::CutOff;
    assert_eq!(recalled(&mut world, &out(2), &[emptying(&["e05"])]).0, Vec::<String>::new());
    world.node("e05").state = State::Draining;
    let (action, mut progress) = emptying(&["e05"]);
    for _ in 0..3 {
        progress.reached(1);
    }
    assert!(matches!(progress.step(&action), Some(Step::Detach { .. })));
    assert!(!progress.call_back(&action, "they are wanted", 2));
    assert_eq!(recalled(&mut world, &out(2), &[(action, progress)]).0, Vec::<String>::new());
}

#[test]
fn who_is_called_back_serves_as_before() {
    let (action, mut progress) = emptying(&["e05", "e06"]);
    progress.reached(1);
    progress.give_up(&action, [("e06".to_owned(), "is not empty".to_owned())], 2);
    assert!(progress.call_back(&action, "more are wanted", 3));
    assert!(!progress.call_back(&action, "once more", 3), "once");
    let mut steps = Vec::new();
    while let Some(step) = progress.step(&action) {
        if !step.nodes().is_empty() {
            steps.push(step);
        }
        progress.reached(4);
    }
    let both = ["e05", "e06"].map(str::to_owned).to_vec();
    assert_eq!(steps, [Step::Undrain { nodes: both }]);
    assert_eq!(progress.outcome(&action), Outcome::CalledBack { why: "more are wanted".to_owned() });
}
