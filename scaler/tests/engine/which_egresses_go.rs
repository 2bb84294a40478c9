use std::collections::BTreeSet;

use scaler::action::Action;
use scaler::decide::{Decision, Verdict};

use crate::world::{World, out, shrunk};

fn fewer(world: &mut World, count: u32) -> Vec<String> {
    let decision = Decision { verdict: Verdict::ScaleIn, ..out(count) };
    shrunk(&world.plan(&decision)).into_iter().map(str::to_owned).collect()
}

fn of<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn the_emptiest_first() {
    let mut world = World::with_pools(12);
    world.viewers(240);
    world.node("e07").viewers = 1;
    world.node("e02").viewers = 3;
    world.node("e11").viewers = 2;
    assert_eq!(fewer(&mut world, 2), ["e07", "e11"]);
    assert_eq!(fewer(&mut world, 4).len(), 4);
    assert_eq!(fewer(&mut world, 16).len(), 4, "eight are the baseline");
}

#[test]
fn never_the_last_that_carries_a_session() {
    let mut world = World::with_pools(12);
    world.carriers.insert("rare".to_owned(), of(["e00", "e01"]));
    world.carriers.insert("only".to_owned(), of(["e02"]));
    world.carriers.insert("beside one that is gone".to_owned(), of(["e03", "e99"]));
    assert_eq!(fewer(&mut world, 4), ["e00", "e04", "e05", "e06"]);
    world.node("e00").viewers = 1;
    assert_eq!(fewer(&mut world, 4), ["e01", "e04", "e05", "e06"]);
}

#[test]
fn only_those_of_the_back_end() {
    let mut world = World::with_pools(12);
    world.machines.retain(|name, _| !["e00", "e01"].contains(&name.as_str()));
    assert_eq!(fewer(&mut world, 2), ["e02", "e03"]);
}

#[test]
fn zones_stay_even() {
    let mut world = World::with_pools(14);
    for n in 0..14 {
        let node = world.node(&format!("e{n:02}"));
        (node.zone, node.viewers) = if n < 7 { ("a".to_owned(), 0) } else { ("b".to_owned(), 1) };
    }
    let going = fewer(&mut world, 6);
    let of_a = going.iter().filter(|name| name.as_str() < "e07").count();
    assert_eq!((going.len(), of_a), (6, 4), "{going:?}");
}

#[test]
fn nobody_twice() {
    let mut world = World::with_pools(14);
    world.takes = 60_000;
    let decision = Decision { verdict: Verdict::ScaleIn, ..out(2) };
    let first: Vec<Action> = world.plan(&decision);
    assert_eq!(shrunk(&first), ["e00", "e01"]);
    world.running = first.into_iter().map(|action| (action, world.now + 60_000)).collect();
    assert_eq!(fewer(&mut world, 2), [""; 0], "one after the other");
}
