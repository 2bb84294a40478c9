//! Janus is killed in mid-broadcast: said at once, and mended by itself.

use serde_json::json;

use crate::common::{World, lab};

#[test]
fn a_janus_that_comes_back_is_given_everything_again() {
    let lab = lab();
    let mut world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    let created = world
        .post("/mountpoint/create", &json!({ "sessionId": "by-hand", "audioSsrc": 11, "videoSsrc": 12 }));
    assert_eq!(created.0, 201, "{}", created.1);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/s1")["active"] == json!(true));
    let before = world.get("/portpool");

    world.janus_mut().kill9().unwrap();
    let took = world.until("unhealthy", || world.get("/status")["healthy"] == json!(false));
    println!("the loss of Janus is noticed after {took:?}");
    let mountpoint = world.get("/mountpoint/s1");
    assert_eq!(mountpoint["active"], json!(false));
    assert!(mountpoint["reason"].as_str().unwrap().contains("Janus"), "{mountpoint}");
    let (status, answer) =
        world.post("/mountpoint/create", &json!({ "sessionId": "x", "audioSsrc": 21, "videoSsrc": 22 }));
    assert_eq!(status, 503, "{answer}");
    assert_eq!(world.request("POST", "/whep/endpoint/s1", &[], "").0, 503);
    assert_eq!(world.request("GET", "/readyz", &[], "").0, 503);
    assert_eq!(world.get("/portpool"), before, "nothing leaked");

    world.janus_mut().restart().unwrap();
    let took = world.until("active again", || world.get("/mountpoint/s1")["active"] == json!(true));
    println!("media flows {took:?} after Janus is back");
    assert_eq!(world.get("/portpool"), before);
    assert_eq!(world.get("/mountpoint/by-hand")["janusAudioPort"], created.1["janusAudioPort"]);
    let status = world.get("/status");
    assert_eq!(status["gstreamer"]["videoRestarts"], json!(0));
    assert_eq!((&status["healthy"], &status["janus"]["returns"]), (&json!(true), &json!(1)));
    assert_eq!(world.request("POST", "/whep/endpoint/s1", &[], "").0, 201);
}
