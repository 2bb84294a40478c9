//! An address translation between parent and egress has a way back only for the ports that media goes between.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{HOST, World, browser, lab, rtp};

#[test]
fn keyframes_are_asked_for_through_a_translation() {
    let lab = lab();
    let world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    for rule in [
        &["add", "table", "ip", "nat"][..],
        &["add", "chain", "ip", "nat", "out", "{ type nat hook postrouting priority 100 ; }"],
        &["add", "rule", "ip", "nat", "out", "udp", "sport", "5004", "masquerade", "to", ":40000-50000"],
    ] {
        lab.run("view", &[&["nft"], rule].concat()).unwrap();
    }
    let media = world.socket("view", (Ipv4Addr::UNSPECIFIED, 5004));
    let heard = media.try_clone().unwrap();
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let (over, stop) = std::sync::mpsc::channel::<()>();
    let sender = std::thread::spawn(move || {
        let started = Instant::now();
        for sequence in 0u16.. {
            let timestamp = (started.elapsed().as_secs_f64() * 90_000.0) as u32;
            media.send_to(&rtp(8888, sequence, timestamp), (HOST, 5004)).unwrap();
            if stop.recv_timeout(Duration::from_millis(5)) != Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                return;
            }
        }
    });
    world.until("active", || world.get("/mountpoint/s1")["active"] == json!(true));
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=s1").unwrap();
    let mut packet = [0; 100];
    let (length, from) = heard.recv_from(&mut packet).expect("a PLI");
    assert_eq!(from.to_string(), "10.77.0.1:5004", "from the port that media goes to");
    assert_eq!(
        (&packet[..4], &packet[8..12], length),
        (&[0x81, 206, 0, 2][..], &8888u32.to_be_bytes()[..], 12)
    );
    browser.kill9().unwrap();
    drop(over);
    sender.join().unwrap();
}
