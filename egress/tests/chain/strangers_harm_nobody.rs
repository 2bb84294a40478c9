//! 100,000 unknown SSRCs, short packets, noise, RTP before its mountpoint, mountpoints that end while RTP flows.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{HOST, World, lab, rtp};

#[test]
fn strangers_harm_nobody() {
    let lab = lab();
    let world = World::start(&lab);
    let _sending = world.broadcast([7777, 8888]);
    let _early = world.broadcast([555, 556]);
    std::thread::sleep(Duration::from_millis(500));
    world.session("s1", 4001, [7777, 8888]);
    world.until("RTP that was before its mountpoint", || world.get("/mountpoint/s1")["active"] == json!(true));

    let socket = world.socket("view", (std::net::Ipv4Addr::UNSPECIFIED, 0));
    let packets = |world: &World| world.get("/mountpoint/s1")["packets"].clone();
    let count = |value: &Value, at: usize| value[at].as_u64().unwrap();
    let before = packets(&world);
    let started = std::time::Instant::now();
    for ssrc in 0..100_000u32 {
        socket.send_to(&rtp(0x4000_0000 + ssrc, 1, 1), (HOST, 5004)).unwrap();
        if ssrc % 100 == 0 {
            // As fast as a receive buffer takes them: what the kernel drops would prove nothing.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    for size in 0..12 {
        socket.send_to(&vec![0x80; size], (HOST, 5004)).unwrap();
    }
    socket.send_to(&[0; 40], (HOST, 5004)).unwrap();
    let took = started.elapsed();
    world.until("all were counted", || {
        let dropped = &world.get("/status")["dropped"]["video"];
        dropped["unknown_ssrc"].as_u64().unwrap() >= 100_000 && dropped["short"] == json!(12) && dropped["not_rtp"] == json!(1)
    });
    let after = packets(&world);
    let (audio, video) = (count(&after, 0) - count(&before, 0), count(&after, 1) - count(&before, 1));
    println!("100,000 strangers in {took:?}: {audio} audio and {video} video packets went through meanwhile");
    assert!(audio as f64 > took.as_secs_f64() * 45.0 && video as f64 > took.as_secs_f64() * 22.0, "{audio} {video}");

    // Mountpoints come and go beside it while their RTP flows.
    for round in 0..30 {
        let new = json!({ "sessionId": "other", "audioSsrc": 555, "videoSsrc": 556 });
        let (status, answer) = world.post("/mountpoint/create", &new);
        assert_eq!(status, 201, "{round}: {answer}");
        if round % 3 == 0 {
            world.until("its RTP", || count(&world.get("/mountpoint/other")["packets"], 0) > 2);
        }
        assert_eq!(world.post("/mountpoint/other/destroy", &json!({})).0, 200);
    }
    let status = world.get("/status");
    assert_eq!(status["gstreamer"], json!({ "audioRunning": true, "videoRunning": true, "audioRestarts": 0, "videoRestarts": 0 }));
    assert_eq!(world.get("/portpool")["allocated"], json!(1));
    let before = packets(&world);
    std::thread::sleep(Duration::from_secs(1));
    assert!(count(&packets(&world), 1) > count(&before, 1) + 20);
    assert_eq!(world.get("/mountpoint/s1")["active"], json!(true));
}
