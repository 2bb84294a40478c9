use crate::common::{Scene, until};

/// A child whose registered host is nobody's address gets nothing: by name in `/status`, and the whole tree is told. One of several is a
/// warning, and the node serves on; if there is no other the node cannot do its job.
#[test]
fn test() {
    let scene = Scene::start("refused");
    scene.redis.egress("egress-9", "255.255.255.255", [5002, 5004]).unwrap();
    scene.redis.cli(&["SADD", "children:injection-1", "egress-9"]).unwrap();
    let says = |list: &str| {
        let status = scene.status();
        let said =
            |line: &serde_json::Value| line.as_str().unwrap().starts_with("child egress-9 is refused: ");
        status[list].as_array().unwrap().iter().any(said)
    };
    let registered = || scene.redis.cli(&["HGET", "node:injection-1", "status"]).unwrap();
    until("there is nobody else to send to", || says("problems"));
    assert!(!says("warnings"));
    let refused = scene.status()["topology"]["refused"]["egress-9"].to_string();
    assert!(refused.contains("255.255.255.255, a broadcast address"), "{refused}");
    assert_eq!(scene.ask("GET", "/readyz", "").0, 503);
    until("the tree is told", || registered() == "degraded");

    scene.redis.egress("egress-1", "10.77.0.2", [5002, 5004]).unwrap();
    scene.redis.cli(&["SADD", "children:injection-1", "egress-1"]).unwrap();
    until("it is one of two", || says("warnings"));
    assert!(!says("problems"));
    assert_eq!(scene.ask("GET", "/readyz", "").0, 200);
    assert_eq!(registered(), "degraded", "it is not well");

    scene.redis.cli(&["SREM", "children:injection-1", "egress-9"]).unwrap();
    until("all is well", || registered() == "active" && !says("warnings"));
}
