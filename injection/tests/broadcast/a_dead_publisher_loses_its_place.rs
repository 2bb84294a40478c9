use std::time::{Duration, Instant};

use crate::common::{LONG, Scene, until};

/// A publisher without a network tells nobody; within 5 s another can publish, and no sooner.
#[test]
fn test() {
    let scene = Scene::start("dead");
    let room = scene.create("s1")["roomId"].as_u64().unwrap();
    let second = |scene: &Scene| scene.publisher_with("s1", &["vp8"]);

    let publisher = scene.publisher("s1", "vp8");
    let refused = second(&scene);
    assert_eq!(refused.wait(LONG).unwrap().code(), Some(1));
    assert!(
        refused.log().contains("409") && refused.log().contains("someone else is live"),
        "{}",
        refused.log()
    );

    publisher.kill9().unwrap();
    let took = until("its place is free", || scene.has_room_for_another("s1"));
    eprintln!("free {took:?} after kill -9");
    assert!(took < Duration::from_secs(5), "{took:?}");

    // Somebody who wants the place has it as soon as the media has stopped.
    let publisher = scene.publisher("s1", "vp8");
    assert_eq!(scene.rooms(), [(room, 1)], "the dead one has left");
    publisher.kill9().unwrap();
    let killed = Instant::now();
    loop {
        let next = second(&scene);
        until("an answer", || next.status().unwrap().is_some() || next.log().contains("published"));
        if next.log().contains("published") {
            break;
        }
        assert!(killed.elapsed() < Duration::from_secs(5), "{}", next.log());
    }
    eprintln!("taken over {:?} after kill -9", killed.elapsed());
    until("media", || scene.session("s1")["publisher"]["state"] == "publishing");
    assert_eq!(scene.rooms(), [(room, 1)]);
}
