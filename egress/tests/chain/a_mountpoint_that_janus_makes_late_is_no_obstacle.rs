//! Janus makes a mountpoint after nobody waits for it any more: whoever tries again gets it, on the same ports.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::common::{World, lab};

#[test]
fn a_mountpoint_that_janus_makes_late_is_no_obstacle() {
    let lab = lab();
    let world = World::start(&lab);
    let wish = json!({ "sessionId": "s1", "audioSsrc": 7777, "videoSsrc": 8888 }).to_string();
    let api = (Ipv4Addr::LOCALHOST, 7073).into();
    let (json, patience) = ([("Content-Type", "application/json")], Duration::from_secs(30));
    let create = || {
        let answer =
            lab::http::request_within(&lab, "eg", api, "POST", "/mountpoint/create", &json, &wish, patience);
        let answer = answer.unwrap();
        (answer.status, answer.body)
    };
    world.janus().process().signal(Signal::SIGSTOP).unwrap();
    let (status, answer) = create();
    world.janus().process().signal(Signal::SIGCONT).unwrap();
    assert!(status == 503 && answer.contains("did not answer"), "{answer}");

    let mut answers = Vec::new();
    world.until("tried again", || {
        let (status, answer) = create();
        answers.push(format!("{status} {answer}"));
        status == 201
    });
    // A connection to Janus that was given up meanwhile is worth an attempt, a mountpoint that is in the way is not.
    assert!(
        answers.iter().all(|answer| answer.starts_with("201") || answer.starts_with("503")),
        "{answers:?}"
    );
    assert_eq!(world.get("/mountpoint/s1")["janusAudioPort"], json!(6000), "{answers:?}");
    assert_eq!(world.get("/portpool")["setAside"], json!([]));
    let is_free = |port: u16| {
        lab.in_namespace("eg", || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap().is_ok()
    };
    assert!(!is_free(6000) && is_free(6002));
}
