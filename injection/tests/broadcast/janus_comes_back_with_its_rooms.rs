use std::time::Duration;

use crate::common::{Receiver, Scene, until};

/// `healthy` tells that Janus is gone; when it is back, so are the rooms, and publishing works again.
#[test]
fn test() {
    let mut scene = Scene::start("janus");
    let room = scene.create("s1")["roomId"].as_u64().unwrap();
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let _lost = scene.publisher("s1", "vp8");
    scene.janus.kill9().unwrap();
    let took = until("noticed", || scene.status()["healthy"] == false);
    eprintln!("noticed {took:?} after kill -9 of Janus");
    assert!(took < Duration::from_secs(1), "{took:?}");
    until("the publication is over", || scene.session("s1")["publisher"].is_null());
    let (status, refusal) = scene.ask("POST", "/session", r#"{"sessionId":"s2"}"#);
    assert_eq!(status, 503, "{refusal}");
    assert!(refusal["error"].as_str().unwrap().contains("ws://127.0.0.1:8188"), "{refusal}");
    let refused = scene.publisher_with("s1", &["vp8"]);
    refused.wait(crate::common::LONG).unwrap();
    assert!(refused.log().contains("503"), "{}", refused.log());
    assert_eq!(scene.ask("GET", "/sessions", "").1["count"], 1, "the list survives");

    scene.janus.restart().unwrap();
    let took = until("healthy again", || scene.status()["healthy"] == true);
    eprintln!("healthy {took:?} after Janus was started");
    assert_eq!(scene.rooms(), [(room, 0)]);
    let before = receiver.count();
    let _publisher = scene.publisher("s1", "vp8");
    until("media", || receiver.count()[1] > before[1] + 20);
    crate::common::receiver::is_seamless(&receiver.packets(1));
}
