//! A new viewer's wish for a keyframe reaches whoever the video comes from, at its RTCP port, once a second at most; from the address
//! that the egress is registered at, which is the one that a parent knows it by.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{By, HOST, World, browser, lab, on_both, rtp};

on_both!(keyframes_are_asked_for_up_the_tree);

fn keyframes_are_asked_for_up_the_tree(by: By) {
    let lab = lab();
    // Not the one that the routing table would choose.
    lab.address("eg", "v0", "10.77.0.9/24").unwrap();
    let world = World::start_by(&lab, by, &[("NODE_HOST", "10.77.0.9")]);
    world.session("s1", 4001, [7777, 8888]);
    // As a relay does: RTP from 5004, RTCP at 5005.
    let media = world.socket("view", (Ipv4Addr::UNSPECIFIED, 5004));
    let rtcp = world.socket("view", (Ipv4Addr::UNSPECIFIED, 5005));
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let sender = std::thread::spawn(move || {
        let started = Instant::now();
        for sequence in 0..2000u16 {
            let timestamp = (started.elapsed().as_secs_f64() * 90_000.0) as u32;
            media.send_to(&rtp(8888, sequence, timestamp), (HOST, 5004)).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    world.until("active", || world.get("/mountpoint/s1")["active"] == json!(true));
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=s1").unwrap();
    let mut packet = [0; 100];
    let (length, from) = rtcp.recv_from(&mut packet).expect("a PLI");
    assert_eq!(
        from.to_string(),
        "10.77.0.9:5005",
        "from the registered address, and the egress' own RTCP port"
    );
    assert_eq!(
        (&packet[..4], &packet[8..12], length),
        (&[0x81, 206, 0, 2][..], &8888u32.to_be_bytes()[..], 12)
    );
    // Chromium cannot decode this and asks again and again.
    let first = Instant::now();
    let mut count = 1;
    while first.elapsed() < Duration::from_secs(4) && rtcp.recv_from(&mut packet).is_ok() {
        count += 1;
    }
    println!("{count} PLIs in {:?}; {}", first.elapsed(), world.get("/status")["keyframes"]);
    assert!((2..=6).contains(&count), "{count}");
    browser.kill9().unwrap();
    sender.join().unwrap();
}
