//! Whoever knows an SSRC cannot show viewers something else: in a tree media is the parent's, as Redis says who that is.

use std::net::{Ipv4Addr, UdpSocket};

use serde_json::{Value, json};

use crate::common::{HOST, World, lab, rtp};

/// Sends a packet again and again until something is so. Gives how many were sent.
fn send_until(world: &World<'_>, socket: &UdpSocket, what: &str, so: impl Fn(&Value) -> bool) -> u64 {
    let mut sequence = 0;
    world.until(what, || {
        for ssrc in [7777, 8888] {
            let port = if ssrc == 7777 { 5002 } else { 5004 };
            socket.send_to(&rtp(ssrc, sequence, u32::from(sequence) * 3000), (HOST, port)).unwrap();
        }
        sequence += 1;
        so(&world.get("/mountpoint/s1"))
    });
    2 * u64::from(sequence)
}

#[test]
fn media_is_taken_from_the_parent_only() {
    let lab = lab();
    let world = World::start(&lab);
    lab.address("view", "v1", "10.77.0.3/24").unwrap();
    world.session("s1", 4001, [7777, 8888]);
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let [parent, stranger] = [2, 3].map(|last| world.socket("view", (Ipv4Addr::new(10, 77, 0, last), 5004)));
    let sources = || world.get("/status")["sources"].clone();
    let dropped = |kind: &str| world.get("/status")["dropped"][kind]["stranger"].as_u64().unwrap();

    // Nobody has said who its parent is.
    assert_eq!(sources(), json!(["any"]));
    assert!(world.get("/status")["warnings"].to_string().contains("from anybody"));
    send_until(&world, &stranger, "taken from anybody", |seen| seen["active"] == json!(true));

    world.redis.egress("relay-1", "10.77.0.2", [5002, 5004]).unwrap();
    world.redis.cli(&["SET", "parent:egress-1", "relay-1"]).unwrap();
    world.until("the parent is known", || sources() == json!(["10.77.0.2/32"]));
    let before = world.get("/mountpoint/s1")["packets"].clone();
    send_until(&world, &stranger, "turned away", |_| {
        ["audio", "video"].into_iter().all(|kind| dropped(kind) > 5)
    });
    world.until("stalled", || world.get("/mountpoint/s1")["active"] == json!(false));
    assert_eq!(world.get("/mountpoint/s1")["packets"], before, "nothing of it came through");
    let warnings = world.get("/status")["warnings"].to_string();
    assert!(
        warnings.contains("comes from 10.77.0.3") && warnings.contains("--source 10.77.0.3"),
        "{warnings}"
    );
    assert_eq!(world.get("/status")["healthy"], json!(true), "a stranger makes no node ill");
    let mut sent = send_until(&world, &parent, "the parent is heard", |seen| seen["active"] == json!(true));
    // What is of no session here has come all the same, and RTCP.
    parent.send_to(&rtp(9999, 1, 0), (HOST, 5004)).unwrap();
    stranger.send_to(&rtp(9999, 1, 0), (HOST, 5004)).unwrap();
    for port in [5002, 5003, 5005] {
        let report = [&[0x80, 200, 0, 6, 0, 0, 0, 9][..], &[0; 20]].concat();
        parent.send_to(&report, (HOST, port)).unwrap();
    }
    sent += 4;
    let series =
        "media_tree_egress_parent_packets_total{node_id=\"egress-1\",parent=\"relay-1\",tree_id=\"tree-1\"} ";
    let came = || {
        let metrics = world.get("/metrics").as_str().unwrap_or_default().to_owned();
        metrics.lines().find_map(|line| line.strip_prefix(series)?.parse::<u64>().ok())
    };
    world.until("all that the parent sent has been counted", || came() >= Some(sent));
    assert_eq!(came(), Some(sent), "and nothing of a stranger's");

    // It moves, and its registration expires: where it was last is where it is.
    world.redis.egress("relay-1", "10.77.0.3", [5002, 5004]).unwrap();
    world.until("moved", || sources() == json!(["10.77.0.3/32"]));
    world.redis.cli(&["DEL", "node:relay-1"]).unwrap();
    world.redis.cli(&["DEL", "parent:egress-1"]).unwrap();
    world.until("parted", || world.get("/topology")["parent"].is_null());
    assert_eq!(sources(), json!(["10.77.0.3/32"]));
}
