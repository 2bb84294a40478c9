use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::{LONG, Scene, rtmp, until};

/// However an encoder ends: its place is free again within 5 s, its room is empty, and the node is as before.
#[test]
fn test() {
    let scene = Scene::with("rtmp-end", &[rtmp::PORT]);
    let room = scene.create("s1")["roomId"].as_u64().unwrap();
    let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", scene.injection.pid())).unwrap().count();
    let is_free = |how: &str, longest: f64| {
        let took = until("its place is free", || scene.session("s1")["publisher"].is_null());
        eprintln!("free {took:?} after it {how}");
        assert!(took < Duration::from_secs_f64(longest), "{how}: {took:?}");
        until("its room is empty", || scene.rooms() == [(room, 0)]);
    };
    let killed = |options| {
        scene.encodes("s1", "s1", options).kill9().unwrap();
        is_free("was killed", 1.0);
    };
    // The first makes what stays: threads that wait for more work.
    killed(rtmp::BASELINE);
    killed(rtmp::HIGH);
    let before = (count("fd"), count("task"));
    killed(rtmp::BASELINE);
    killed(rtmp::HIGH);

    // Its network is gone, and nobody says so.
    let encoder = scene.encodes("s1", "s1", rtmp::BASELINE);
    encoder.signal(Signal::SIGSTOP).unwrap();
    let took = until("its place is for another", || scene.has_room_for_another("s1"));
    assert!(took < Duration::from_secs(5), "it fell silent: {took:?}");
    encoder.kill9().unwrap();
    is_free("was killed while it was silent", 1.0);

    // It is we who end it.
    let encoder = scene.encodes("s1", "s1", rtmp::BASELINE);
    assert_eq!(scene.ask("DELETE", "/session/s1/publisher", "").0, 204);
    assert!(!encoder.wait(LONG).unwrap().success());
    is_free("was ended", 1.0);

    until("files and threads as before", || count("fd") <= before.0 && count("task") <= before.1);

    let encoder = scene.encodes("s1", "s1", rtmp::BASELINE);
    assert_eq!(scene.ask("DELETE", "/session/s1", "").0, 200);
    assert!(!encoder.wait(LONG).unwrap().success());
    assert_eq!(scene.rooms(), []);
}
