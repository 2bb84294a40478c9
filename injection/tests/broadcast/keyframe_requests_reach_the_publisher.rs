use std::time::{Duration, Instant};

use crate::common::{Receiver, Scene, until};

/// A PLI from below brings a keyframe; many are passed on once a second; one for a stranger is not.
#[test]
fn test() {
    let scene = Scene::start("keyframes");
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let _publisher = scene.publisher("s1", "vp8");
    until("media", || receiver.count()[1] > 20);
    // Those that Janus itself asks for in the beginning.
    std::thread::sleep(Duration::from_secs(2));
    let keyframes = |since: Instant| {
        let packets = receiver.packets(1);
        packets.iter().filter(|packet| packet.keyframe && packet.at > since).count()
    };

    let quiet = Instant::now();
    receiver.asks_for_keyframe(9999);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(keyframes(quiet), 0, "the publisher makes none by itself");

    let asked = Instant::now();
    receiver.asks_for_keyframe(2222);
    let took = until("a keyframe", || keyframes(asked) == 1);
    eprintln!("a keyframe {took:?} after the request");
    assert!(took < Duration::from_millis(500), "{took:?}");

    std::thread::sleep(Duration::from_millis(1100));
    let (asked, before) = (Instant::now(), scene.status()["keyframes"]["passedOn"].as_u64().unwrap());
    while asked.elapsed() < Duration::from_millis(2500) {
        receiver.asks_for_keyframe(2222);
        std::thread::sleep(Duration::from_millis(20));
    }
    // At 0, 1 and 2 s; the one that waits follows at 3 s.
    assert_eq!(scene.status()["keyframes"]["passedOn"].as_u64().unwrap() - before, 3);
    until("the last one", || keyframes(asked) == 4);
}
