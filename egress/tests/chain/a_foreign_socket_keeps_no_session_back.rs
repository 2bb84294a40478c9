//! Somebody else has a port of the pool: the session is shown on others, the pair is set aside, and an operator is told who it is.

use std::net::{Ipv4Addr, UdpSocket};

use serde_json::json;

use crate::common::{World, lab};

#[test]
fn a_foreign_socket_keeps_no_session_back() {
    let lab = lab();
    // Three pairs: 6000 to 6005, and 6006 to 6008 for RTCP.
    let world = World::start(&lab);
    let audio = world.socket("eg", (Ipv4Addr::UNSPECIFIED, 6000));
    let rtcp = world.socket("eg", (Ipv4Addr::UNSPECIFIED, 6007));
    let body = json!({ "sessionId": "s1", "audioSsrc": 7777, "videoSsrc": 8888 });
    let (status, answer) = world.post("/mountpoint/create", &body);
    assert_eq!((status, &answer["janusAudioPort"]), (201, &json!(6004)), "{answer}");
    let pool = world.get("/portpool");
    assert_eq!(
        (&pool["setAside"], &pool["allocated"], &pool["available"]),
        (&json!([6000, 6002]), &json!(1), &json!(0))
    );
    let warnings = || world.get("/status")["warnings"].to_string();
    let me = format!("(PID {})", std::process::id());
    assert!(
        warnings().contains("6000") && warnings().contains("6007") && warnings().contains(&me),
        "{}",
        warnings()
    );
    assert_eq!(world.request("GET", "/readyz", &[], "").0, 200);

    // None is left; that is this session's bad luck, and no other's.
    world.session("s2", 4002, [11, 12]);
    world.until("refused", || warnings().contains("session s2: 1 of 3 pairs"));
    // Whoever would watch it is not told that there is no such session, nor who has the ports.
    let (status, head, answer) = world.request("POST", "/whep/endpoint/s2", &[], "");
    assert_eq!((status, &answer), (503, &json!({ "error": "session s2 is not ready yet" })));
    assert!(head.to_ascii_lowercase().contains("retry-after: "), "{head}");
    assert_eq!(world.request("HEAD", "/whep/endpoint/s2", &[], "").0, 503);
    assert_eq!(world.request("GET", "/mountpoint/s2", &[], "").0, 404);
    let (status, answer) =
        world.post("/mountpoint/create", &json!({ "sessionId": "s3", "audioSsrc": 21, "videoSsrc": 22 }));
    assert!(status == 503 && answer["error"].as_str().unwrap().contains(&me), "{answer}");
    assert_eq!(world.request("GET", "/readyz", &[], "").0, 200);

    drop((audio, rtcp));
    let took = world.until("s2", || world.get("/mountpoints")["count"] == json!(2));
    println!("shown {took:?} after the port was free");
    assert_eq!(world.get("/mountpoint/s2")["janusAudioPort"], json!(6000));
    world.until("said no more", || !warnings().contains("6000, 6001"));

    // Nothing can be shown at all: now the node cannot do its job.
    for id in ["s1", "s2"] {
        assert_eq!(world.request("DELETE", &format!("/mountpoint/{id}"), &[], "").0, 200);
    }
    // Janus gives its ports back some time after it says so.
    let bind =
        |port: u16| lab.in_namespace("eg", || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap().ok();
    let mut held = Vec::new();
    for port in [6001, 6002, 6008] {
        world.until("the port is free", || {
            held.push(bind(port));
            held.last().is_some_and(Option::is_some)
        });
    }
    world.session("s4", 4004, [41, 42]);
    world.until("not ready", || world.request("GET", "/readyz", &[], "").0 == 503);
    drop(held);
    world.until("ready", || world.request("GET", "/readyz", &[], "").0 == 200);
}
