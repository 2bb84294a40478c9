use std::net::Ipv4Addr;

use lab::receiver::Receiver;
use serde_json::json;

use crate::common::{LONG, Scene, rtmp, until};
use crate::token::{Key, claims, seconds, set};

/// Keys of signed tokens.
const KEYS: &str = "/tmp/media-tree-test-publish-keys.json";
/// Where somebody else decides and is told.
const PORT: u16 = 9000;

/// A publisher needs a token of its session, in WHIP and RTMP alike, and the word of whoever else decides; that one is told what
/// happens.
#[test]
fn test() {
    let key = Key::eddsa("2026-1", 1);
    std::fs::write(KEYS, set(&[&key])).unwrap();
    let environment = [
        rtmp::PORT,
        ("JWT_KEYS", KEYS),
        ("AUTHORIZE", "http://127.0.0.1:9000/may"),
        ("AUTHORIZE_REMEMBER", "0"),
        ("WEBHOOK", "http://127.0.0.1:9000/told"),
        ("WEBHOOK_SECRET", "a secret that is long enough"),
    ];
    let scene = Scene::with("who-may", &environment);
    let somebody = Receiver::start(scene.lab, "node", (Ipv4Addr::LOCALHOST, PORT).into()).unwrap();
    scene.create("s1");
    let good = key.sign(&claims("s1", "publish"));
    let bad = [
        key.sign(&claims("s2", "publish")),
        key.sign(&claims("s1", "watch")),
        key.sign(&json!({ "sub": "s1", "role": "publish", "exp": seconds(-1) })),
        Key::eddsa("2026-1", 2).sign(&claims("s1", "publish")),
    ];
    for token in &bad {
        let refused = scene.publisher_with("s1", &["vp8", token]);
        assert_eq!(refused.wait(LONG).unwrap().code(), Some(1));
        assert!(refused.log().contains("401") && refused.log().contains("JWT"), "{}", refused.log());
    }
    assert_eq!(somebody.posts("/may").len(), 0, "who has no token is not asked about");
    // Whoever decides says no; or nothing that could be understood.
    for (answer, status) in [(403, "403"), (500, "503")] {
        somebody.answer(answer);
        let refused = scene.publisher_with("s1", &["vp8", &good]);
        assert_eq!(refused.wait(LONG).unwrap().code(), Some(1));
        assert!(refused.log().contains(status), "{}", refused.log());
    }
    somebody.answer(200);
    let asked = somebody.posts("/may")[0].json();
    let wanted = json!({
        "action": "publish", "sessionId": "s1", "protocol": "whip", "client": "10.77.0.2", "token": good,
        "nodeId": "injection-1", "treeId": "tree-1"
    });
    assert_eq!(asked, wanted);

    let publishing = || scene.session("s1")["publisher"]["state"] == "publishing";
    let publisher = scene.publisher_with("s1", &["vp8", &good]);
    until("media comes", publishing);
    publisher.terminate().unwrap();
    until("it is over", || scene.session("s1")["publisher"].is_null());
    assert!(publisher.log().contains("deleted 200"), "{}", publisher.log());
    for token in &bad {
        let refused = scene.encoder(&format!("s1?token={token}"), rtmp::BASELINE);
        assert!(!refused.wait(LONG).unwrap().success());
    }
    let encoder = scene.encodes(&format!("s1?token={good}"), "s1", rtmp::BASELINE);
    encoder.terminate().unwrap();
    until("it is over", || scene.session("s1")["publisher"].is_null());
    assert_eq!(somebody.posts("/may").last().unwrap().json()["protocol"], "rtmp");
    assert_eq!(scene.ask("DELETE", "/session/s1", "").0, 200);

    let told = || somebody.posts("/told");
    let last = || told().last().map(|post| post.json()["type"].clone());
    until("it is told", || last() == Some(json!("session.destroyed")));
    let mut kinds: Vec<String> =
        told().iter().map(|post| post.json()["type"].as_str().unwrap().to_owned()).collect();
    // While it answered 500 nothing was taken, and came again.
    kinds.dedup();
    let life = ["publisher.started", "publisher.ended"];
    assert_eq!(kinds, [&["session.created"][..], &life, &life, &["session.destroyed"]].concat());
    let ended = told().into_iter().rfind(|post| post.json()["type"] == "publisher.ended").unwrap();
    assert!(ended.header("webhook-signature").starts_with("v1,") && !ended.header("webhook-id").is_empty());
    assert_eq!(ended.json()["data"]["sessionId"], "s1");
    let metrics = scene.ask_with("GET", "/metrics", &[], "").body;
    for line in ["result=\"admitted\"", "result=\"forbidden\"", "result=\"unknown\""] {
        let found = metrics.lines().any(|found| {
            found.contains("admissions_total") && found.contains(line) && !found.ends_with(" 0")
        });
        assert!(found, "{line}");
    }
    let shown = scene.injection.log() + &scene.status().to_string() + &metrics;
    assert!(!shown.contains(&good) && !shown.contains("long enough"), "a secret is shown");
}
