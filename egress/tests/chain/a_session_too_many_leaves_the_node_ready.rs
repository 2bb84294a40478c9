//! One session cannot take a node's readiness away: those that fit are served, and the others are warnings.

use serde_json::json;

use crate::common::{World, lab};

#[test]
fn a_session_too_many_leaves_the_node_ready() {
    let lab = lab();
    let world = World::start(&lab);
    let warnings = || world.get("/status")["warnings"].to_string();
    let ready = || world.request("GET", "/readyz", &[], "").0;
    let metric = |name: &str| {
        let metrics = world.get("/metrics").as_str().unwrap_or_default().to_owned();
        metrics.lines().find(|line| line.starts_with(name)).unwrap_or_default().ends_with(" 1")
    };

    // It could not be shown by any node.
    world.session("odd", 4000, [5, 5]);
    world.until("said", || warnings().contains("session odd: audio and video have the same SSRC 5"));
    assert_eq!((ready(), world.get("/status")["healthy"].clone()), (200, json!(true)));
    world.redis.cli(&["SREM", "sessions:active", "odd"]).unwrap();

    for (n, id) in ["s1", "s2", "s3", "s4"].into_iter().enumerate() {
        let n = n as u32;
        world.session(id, 4001 + u64::from(n), [100 * n + 1, 100 * n + 2]);
        world.until(id, || world.get("/mountpoints")["count"].as_u64() >= Some(u64::from(n + 1).min(3)));
    }
    world.until("said", || warnings().contains("session s4: all 3 pairs"));
    assert_eq!((ready(), world.get("/status")["problems"].clone()), (200, json!([])));
    assert!(metric("media_tree_egress_healthy"));
    world.until("registered as active", || {
        world.redis.cli(&["HGET", "node:egress-1", "status"]).unwrap() == "active"
    });
    // As soon as there is room it is served.
    world.redis.cli(&["SREM", "sessions:active", "s1"]).unwrap();
    world.until("s4", || world.get("/mountpoint/s4")["mountpointId"] == json!(4004));
    world.until("nothing to say", || !warnings().contains("s4"));
}
