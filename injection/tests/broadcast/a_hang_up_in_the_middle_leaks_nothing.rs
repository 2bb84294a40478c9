use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::handmade::{BASELINE, Encoder, again, recording};
use crate::common::{Scene, rtmp, until_within};

/// A busy machine takes some seconds for an offer.
const LATE: Duration = Duration::from_secs(20);

/// Review 18: while Janus thinks about an offer, its publisher goes. When Janus has answered, nobody is in the room, and the next
/// gets the place.
#[test]
fn test() {
    let scene = Scene::with("rtmp-hang", &[rtmp::PORT]);
    let room = scene.create("s1")["roomId"].as_u64().unwrap();
    let tags = again(&recording(2, BASELINE, &[]), 30);
    for round in 0..3 {
        scene.janus.process().signal(Signal::SIGSTOP).unwrap();
        let encoder = Encoder::start(scene.lab, "s1", tags.clone());
        until_within(LATE, "Janus is asked", || is_unread(&scene));
        drop(encoder);
        until_within(LATE, "it is over", || scene.injection.log().matches("is over").count() > round);
        scene.janus.process().signal(Signal::SIGCONT).unwrap();
        until_within(LATE, "nobody is in the room", || {
            scene.session("s1")["publisher"].is_null() && scene.rooms() == [(room, 0)]
        });
    }
    assert_ne!(scene.session("s1")["publications"], 0, "what was begun was completed, and taken back");
    let _next = Encoder::start(scene.lab, "s1", tags);
    until_within(LATE, "the next publishes", || scene.session("s1")["publisher"]["state"] == "publishing");
}

/// A connection to Janus, which stands still, has something in it that it has not read.
fn is_unread(scene: &Scene) -> bool {
    let sockets = scene.lab.run("node", &["ss", "-Htn", "sport", "=", ":8188"]).unwrap();
    sockets.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|unread| unread != "0"))
}
