use serde_json::json;

use crate::common::{Scene, until};

/// An injection that is killed for good leaves its sessions in Redis: they are shown, and any other ends them.
#[test]
fn test() {
    let scene = Scene::start("orphan");
    let write = |id: &str| {
        let key = format!("session:{id}");
        let ssrcs = ["audioSsrc", "7777", "videoSsrc", "8888", "roomId", "77"];
        let rest = ["sessionId", id, "treeId", "tree-1", "active", "true", "injectionNodeId", "injection-2"];
        scene.redis.cli(&[&["HSET", &key], &ssrcs[..], &rest[..]].concat()).unwrap();
        scene.redis.cli(&["SADD", "sessions:injection-2", id]).unwrap();
        scene.redis.cli(&["SADD", "sessions:active", id]).unwrap();
    };
    scene.redis.cli(&["HSET", "node:injection-2", "host", "10.77.0.9"]).unwrap();
    write("far");
    scene.create("s1");
    let refresh = || assert_eq!(scene.ask("POST", "/refresh", "").0, 200);
    let orphans = || scene.ask("GET", "/sessions", "").1["orphans"].clone();
    refresh();
    assert_eq!(orphans(), json!({}), "its injection is registered");
    let (status, refusal) = scene.ask("DELETE", "/session/far", "");
    assert!(
        status == 409 && refusal["error"].as_str().unwrap().contains("injection-2"),
        "{status} {refusal}"
    );

    scene.redis.cli(&["DEL", "node:injection-2"]).unwrap();
    until("it is shown", || {
        refresh();
        orphans() == json!({ "far": "injection-2" })
    });
    let status = scene.status();
    assert!(status["warnings"].to_string().contains("its injection injection-2 is gone"), "{status}");
    assert_eq!(status["healthy"], json!(true));
    // What it had is not given to another, and s1 is not its.
    assert_eq!(scene.ask("POST", "/session", r#"{"sessionId":"s2","audioSsrc":7777}"#).0, 409);
    let (status, answer) = scene.ask("DELETE", "/session/far", "");
    assert_eq!((status, &answer["active"]), (200, &json!(false)), "{answer}");
    assert_eq!(scene.redis.members("sessions:active").unwrap(), ["s1"]);
    assert!(scene.redis.members("sessions:injection-2").unwrap().is_empty());
    assert_eq!(scene.redis.cli(&["HGET", "session:far", "active"]).unwrap(), "false");
    assert_eq!(scene.ask("DELETE", "/session/far", "").0, 404);
    until("not shown any more", || {
        refresh();
        orphans() == json!({})
    });
    assert_eq!(scene.ask("POST", "/session", r#"{"sessionId":"s2","audioSsrc":7777}"#).0, 201);

    // Nobody ends them: what is not renewed goes some time.
    let ttl: u64 = scene.redis.cli(&["TTL", "session:s1"]).unwrap().parse().unwrap();
    assert!((86_000..=86_400).contains(&ttl), "{ttl}");
    assert_eq!(scene.redis.cli(&["HGET", "session:s1", "active"]).unwrap(), "true", "ours stay");
}
