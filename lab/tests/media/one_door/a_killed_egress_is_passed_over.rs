//! kill -9 of an egress: its viewers come again by the door and are sent to the other at once, although Redis takes the first for alive;
//! those of the other lose nothing; and when it is back, it is sent viewers again.

use std::time::Instant;

use lab::relay::Mode;
use lab::{Lab, Studio};

use super::{PATIENCE, are_unharmed, broadcast, door, until, view, watch, watching};

#[test]
fn a_killed_egress_is_passed_over() {
    let lab = Lab::new("t-passed-").unwrap();
    let mut studio = Studio::open(&lab, Mode::Tc, 2, 2).unwrap();
    let publisher = broadcast(&studio);
    let injection = door(studio.injection_address().unwrap());
    let at = |node: &str| format!("{injection}?not={node}");
    let others = view(&studio, &[at("egress-1")], &[]);
    watch(&studio, &others, 2);
    // They come again by the same door when nothing comes.
    let mine = format!("{injection}?viewer={}", of("egress-1", &studio, &lab));
    let mine = view(&studio, &[mine], &["--rejoin", "1000"]);
    watch(&studio, &mine, 2);
    assert_eq!(watching(&studio.egresses[0].node), 2);

    let killed = Instant::now();
    studio.egresses[0].node.kill9().unwrap();
    let before = mine.report();
    mine.wait_until(PATIENCE, |views| {
        let mut pairs = views.viewers.iter().zip(&before.viewers);
        pairs.all(|(seen, before)| seen.joins > before.joins && seen.frames > 15 && seen.silent_ms < 200)
    })
    .unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    println!("viewers of the killed egress see pictures of the other after {:?}", killed.elapsed());
    assert_eq!(studio.redis.cli(&["EXISTS", "node:egress-1"]).unwrap(), "1", "Redis does not know yet");
    assert_eq!(watching(&studio.egresses[1].node), 4);
    are_unharmed(&others);
    let state = || {
        let tree = studio.injection.send("GET", "/tree", "").unwrap().body;
        let tree: serde_json::Value = serde_json::from_str(&tree).unwrap_or_default();
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        nodes.into_iter().find(|node| node["id"] == "egress-1").map(|node| node["state"].clone())
    };
    until("the tree doubts it", &studio, || state() == Some("doubtful".into()));
    println!("the tree doubts that it lives after {:?}", killed.elapsed());
    assert_eq!(studio.redis.cli(&["EXISTS", "node:egress-1"]).unwrap(), "1", "it is still registered");

    studio.egresses[0].node.restart().unwrap();
    studio.wait_active(0, "show").unwrap();
    let again = view(&studio, &[at("egress-2")], &[]);
    watch(&studio, &again, 2);
    let node = &studio.egresses[0].node;
    until("it is sent viewers again", &studio, || watching(node) == 2);
    are_unharmed(&others);
    for viewers in [again, mine, others] {
        viewers.stop().unwrap();
    }
    publisher.stop().unwrap();
}

/// A viewer that the door sends there.
fn of(node: &str, studio: &Studio<'_>, lab: &Lab) -> String {
    let there = |viewer: &String| {
        let (_, told) =
            super::asked(lab, "injection-1", lab::studio::INJECTION_API, &format!("show?viewer={viewer}"));
        told["node"] == node
    };
    let mut names = (0..100).map(|number| format!("viewer-{number}"));
    names.find(there).unwrap_or_else(|| panic!("nobody is sent to {node}{}", studio.diagnosis()))
}
