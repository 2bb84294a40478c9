use serde_json::json;

use crate::common::Scene;

/// What another injection of the tree has is refused and not allotted; the record is as docs/contract.md, *Sessions*, says.
#[test]
fn test() {
    let scene = Scene::start("unique");
    let other =
        ["HSET", "session:far", "sessionId", "far", "roomId", "77", "audioSsrc", "7777", "videoSsrc", "8888"];
    let more = ["treeId", "tree-1", "active", "true", "injectionNodeId", "injection-2"];
    scene.redis.cli(&[&other[..], &more].concat()).unwrap();
    scene.redis.cli(&["SADD", "sessions:active", "far"]).unwrap();
    for (wish, words) in [
        (json!({ "sessionId": "far" }), "session far exists"),
        (json!({ "sessionId": "s1", "audioSsrc": 8888 }), "SSRC 8888 belongs to session far"),
        (json!({ "sessionId": "s1", "videoSsrc": "7777" }), "SSRC 7777 belongs to session far"),
        (json!({ "sessionId": "s1", "roomId": 77 }), "room 77 belongs to session far"),
    ] {
        let (status, refusal) = scene.ask("POST", "/session/create", &wish.to_string());
        assert_eq!(status, 409, "{wish}: {refusal}");
        assert!(refusal["error"].as_str().unwrap().contains(words), "{refusal}");
    }
    assert_eq!(scene.rooms(), []);

    let created = scene.create("s1");
    let text = scene.redis.cli(&["HGETALL", "session:s1"]).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let fields: std::collections::BTreeMap<&str, &str> =
        lines.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    let names: Vec<&str> = fields.keys().copied().collect();
    let contract = [
        "active",
        "audioSsrc",
        "createdAt",
        "injectionNodeId",
        "recipients",
        "roomId",
        "sessionId",
        "treeId",
        "updatedAt",
        "videoSsrc",
    ];
    assert_eq!(names, contract);
    assert_eq!((fields["active"], fields["audioSsrc"], fields["treeId"]), ("true", "1111", "tree-1"));
    assert_eq!(fields["roomId"], created["roomId"].to_string());
    assert_eq!(scene.redis.members("sessions:injection-1").unwrap(), ["s1"]);
    assert_eq!(scene.redis.members("sessions:active").unwrap(), ["far", "s1"]);

    // Lost by the server, written again.
    scene.redis.cli(&["FLUSHALL"]).unwrap();
    assert_eq!(scene.ask("POST", "/refresh", "").0, 200);
    assert_eq!(scene.redis.members("sessions:active").unwrap(), ["s1"]);

    assert_eq!(scene.ask("POST", "/session/s1/destroy", "").0, 200);
    assert_eq!(scene.redis.cli(&["HGET", "session:s1", "active"]).unwrap(), "false");
    let ttl: u64 = scene.redis.cli(&["TTL", "session:s1"]).unwrap().parse().unwrap();
    assert!((86_000..=86_400).contains(&ttl), "{ttl}");
    assert!(scene.redis.members("sessions:active").unwrap().is_empty());
    // Ended, its name is free.
    scene.create("s1");
    assert_eq!(scene.redis.cli(&["HGET", "session:s1", "active"]).unwrap(), "true");
}
