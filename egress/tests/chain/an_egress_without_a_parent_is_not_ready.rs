//! An egress that was taken out of the tree gets no media, so that no viewer is to be sent to it.

use serde_json::json;

use crate::common::{World, lab};

#[test]
fn an_egress_without_a_parent_is_not_ready() {
    let lab = lab();
    let world = World::start(&lab);
    let ready = || world.request("GET", "/readyz", &[], "").0;
    world.redis.egress("relay-1", "10.77.0.2", [5002, 5004]).unwrap();
    world.redis.cli(&["SADD", "children:relay-1", "egress-1"]).unwrap();
    world.redis.cli(&["SET", "parent:egress-1", "relay-1"]).unwrap();
    world.until("has a parent", || world.get("/topology")["parent"] == json!("relay-1"));
    assert_eq!(ready(), 200);

    world.redis.cli(&["SREM", "children:relay-1", "egress-1"]).unwrap();
    world.redis.cli(&["DEL", "parent:egress-1"]).unwrap();
    let took = world.until("not ready", || ready() == 503);
    println!("not ready {took:?} after it was cut off");
    let status = world.get("/status");
    let problems = status["problems"].to_string();
    assert!(problems.contains("no parent") && problems.contains("parent:egress-1"), "{problems}");
    assert_eq!(status["healthy"], json!(false));
    world.until("registered as ill", || {
        world.redis.cli(&["HGET", "node:egress-1", "status"]).unwrap() == "degraded"
    });

    world.redis.cli(&["SET", "parent:egress-1", "relay-1"]).unwrap();
    world.until("ready again", || ready() == 200);
}
