//! Sessions of the tree get mountpoints by themselves; Redis and `active` tell the truth about them.

use std::time::Duration;

use serde_json::json;

use crate::common::{World, lab, start_egress};

#[test]
fn mountpoints_follow_the_tree() {
    let lab = lab();
    let mut world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    let took = world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    println!("from SADD to the mountpoint: {took:?}");
    let body = json!({ "sessionId": "s1", "audioSsrc": 7777, "videoSsrc": 8888 });
    let expected = json!({ "sessionId": "s1", "mountpointId": 4001, "whepUrl": "/whep/endpoint/s1",
        "janusAudioPort": 6000, "janusVideoPort": 6001 });
    assert_eq!(world.post("/mountpoint/create", &body), (200, expected.clone()));
    assert_eq!(world.post("/mountpoint/create", &body), (200, expected));

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
        ("janusAudioPort", "6000"),
        ("janusVideoPort", "6001"),
        ("egressNodeId", "egress-1"),
        ("treeId", "tree-1"),
    ];
    for (name, value) in wanted {
        assert_eq!(field(&world, name), value, "{name}");
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
    world.egress = start_egress(&lab, &[]);
    world.until("s1 again", || world.get("/mountpoints")["mountpoints"][0]["janusAudioPort"] == json!(6000));

    world.redis.cli(&["SREM", "sessions:active", "s1"]).unwrap();
    world.until("s1 has ended", || world.get("/mountpoints")["count"] == json!(0));
    world.until("ended in Redis", || world.redis.members("mountpoints:egress-1").unwrap().is_empty());
    let ttl: u64 = world.redis.cli(&["TTL", "mountpoint:egress-1:s1"]).unwrap().parse().unwrap();
    assert!((86_000..=86_400).contains(&ttl), "{ttl}");
    let pool = world.get("/portpool");
    assert_eq!((&pool["allocated"], &pool["available"]), (&json!(0), &json!(3)));

    world.session("s2", 4002, [1, 2]);
    world.until("s2", || world.get("/mountpoints")["count"] == json!(1));
    world.egress.terminate().unwrap();
    assert!(world.redis.members("mountpoints:active").unwrap().is_empty(), "a graceful stop leaves nothing");
    assert_eq!(world.redis.cli(&["EXISTS", "node:egress-1"]).unwrap(), "0");
}
