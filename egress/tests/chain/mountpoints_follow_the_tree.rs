//! Sessions of the tree get mountpoints by themselves; Redis and `active` tell the truth about them.

use std::time::Duration;

use serde_json::json;

use crate::common::{By, World, lab, on_both};

on_both!(mountpoints_follow_the_tree);

fn mountpoints_follow_the_tree(by: By) {
    let lab = lab();
    let mut world = World::start_by(&lab, by, &[]);
    world.session("s1", 4001, [7777, 8888]);
    let took = world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    println!("from SADD to the mountpoint: {took:?}");
    let body = json!({ "sessionId": "s1", "audioSsrc": 7777, "videoSsrc": 8888 });
    let mut expected = json!({ "sessionId": "s1", "mountpointId": 4001, "whepUrl": "/whep/endpoint/s1" });
    let ports = [("janusAudioPort", "6000"), ("janusVideoPort", "6001")];
    let ports: &[(&str, &str)] = if by == By::Janus { &ports } else { &[] };
    for (name, port) in ports {
        expected[name] = port.parse().unwrap();
    }
    assert_eq!(world.post("/mountpoint/create", &body), (200, expected.clone()));
    assert_eq!(world.post("/mountpoint/create", &body), (200, expected.clone()));

    let reason =
        |world: &World| world.get("/mountpoint/s1")["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason(&world).contains("no audio has come yet (SSRC 7777)"), "{}", reason(&world));
    let sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/s1")["active"] == json!(true));
    let field =
        |world: &World, name: &str| world.redis.cli(&["HGET", "mountpoint:egress-1:s1", name]).unwrap();
    world.until("active in Redis", || field(&world, "active") == "true");
    let wanted = [
        ("mountpointId", "4001"),
        ("audioSsrc", "7777"),
        ("videoSsrc", "8888"),
        ("egressNodeId", "egress-1"),
        ("treeId", "tree-1"),
    ];
    for (name, value) in wanted.iter().chain(ports) {
        assert_eq!(field(&world, name), *value, "{name}");
    }
    if by == By::Native {
        assert_eq!(field(&world, "janusAudioPort"), "");
    }
    assert_eq!(world.redis.members("mountpoints:active").unwrap(), ["egress-1:s1"]);
    for process in &sending {
        process.kill9().unwrap();
    }
    let took = world.until("stalled", || world.get("/mountpoint/s1")["active"] == json!(false));
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&took), "{took:?}");
    world.until("not active in Redis", || field(&world, "active") == "false");

    // Killed, and started again: nothing is left over in Janus, and everything is there again.
    world.egress.kill9().unwrap();
    world.start_again();
    world.until("s1 again", || {
        let again = world.get("/mountpoints")["mountpoints"][0].clone();
        ["mountpointId", "janusAudioPort"].iter().all(|name| again[name] == expected[name])
    });

    world.redis.cli(&["SREM", "sessions:active", "s1"]).unwrap();
    world.until("s1 has ended", || world.get("/mountpoints")["count"] == json!(0));
    world.until("ended in Redis", || world.redis.members("mountpoints:egress-1").unwrap().is_empty());
    let ttl: u64 = world.redis.cli(&["TTL", "mountpoint:egress-1:s1"]).unwrap().parse().unwrap();
    assert!((86_000..=86_400).contains(&ttl), "{ttl}");
    let (status, _, pool) = world.request("GET", "/portpool", &[], "");
    match by {
        By::Janus => assert_eq!((&pool["allocated"], &pool["available"]), (&json!(0), &json!(3))),
        By::Native => assert_eq!(status, 404, "{pool}"),
    }

    world.session("s2", 4002, [1, 2]);
    world.until("s2", || world.get("/mountpoints")["count"] == json!(1));
    world.egress.terminate().unwrap();
    assert!(world.redis.members("mountpoints:active").unwrap().is_empty(), "a graceful stop leaves nothing");
    assert_eq!(world.redis.cli(&["EXISTS", "node:egress-1"]).unwrap(), "0");
}
