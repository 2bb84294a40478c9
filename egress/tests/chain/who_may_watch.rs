//! A viewer needs a token of its session, which the page has from its link, and the word of whoever else decides; that one is told
//! who comes and goes.

use std::net::Ipv4Addr;

use lab::receiver::Receiver;
use serde_json::json;

use crate::common::{World, browser, lab, seen};
use crate::token::{Key, claims, set};

const KEYS: &str = "/tmp/media-tree-test-watch-keys.json";

#[test]
fn who_may_watch() {
    let lab = lab();
    let key = Key::hs256("2026-1", 1);
    std::fs::write(KEYS, set(&[&key])).unwrap();
    let world = World::start_with(
        &lab,
        &[
            ("JWT_KEYS", KEYS),
            ("AUTHORIZE", "http://127.0.0.1:9000/may"),
            ("AUTHORIZE_REMEMBER", "0"),
            ("WEBHOOK", "http://127.0.0.1:9000/told"),
            ("WEBHOOK_SECRET", "a secret that is long enough"),
        ],
    );
    let somebody = Receiver::start(&lab, "eg", (Ipv4Addr::LOCALHOST, 9000).into()).unwrap();
    world.session("s1", 4001, [7777, 8888]);
    world.session("s2", 4002, [7779, 8889]);
    let _media = world.broadcast([7777, 8888]);
    world.until("media", || world.get("/mountpoint/s1")["active"] == json!(true));
    let [good, other, publish] =
        [("s1", "watch"), ("s2", "watch"), ("s1", "publish")].map(|(s, role)| key.sign(&claims(s, role)));
    let post = |token: &str| {
        let authorization = format!("Bearer {token}");
        world.request("POST", "/whep/endpoint/s1", &[("Authorization", &authorization)], "")
    };
    for token in ["", "hunter2", &other, &publish] {
        let (status, head, body) = post(token);
        assert_eq!(status, 401, "{body}");
        assert!(head.to_lowercase().contains("www-authenticate: bearer"), "{head}");
    }
    assert_eq!(world.request("POST", "/whep/endpoint/s1", &[], "").0, 401);
    assert_eq!(somebody.posts("/may").len(), 0);
    for (answer, status) in [(403, 403), (404, 503), (200, 201)] {
        somebody.answer(answer);
        let (found, head, body) = post(&good);
        assert_eq!(found, status, "{body}");
        assert!(status != 503 || head.to_lowercase().contains("retry-after: "), "{head}");
    }

    let browser = browser(&lab);
    browser.open(&format!("http://10.77.0.1:7073/?id=s1#token={good}")).unwrap();
    world.until("it plays", || seen(&browser, "framesDecoded") > 10.0);
    let asked = somebody.posts("/may").last().unwrap().json();
    assert_eq!(
        (&asked["client"], &asked["token"], &asked["action"]),
        (&json!("10.77.0.2"), &json!(good), &json!("watch"))
    );
    let told = |kind: &str| {
        let posts = somebody.posts("/told").into_iter().map(|post| post.json());
        posts.filter(|event| event["type"] == kind).collect::<Vec<_>>()
    };
    world.until("it is told", || told("viewer.joined").len() == 1);
    browser.open("about:blank").unwrap();
    world.until("it is told", || told("viewer.left").len() == 1);
    let (joined, left) = (&told("viewer.joined")[0]["data"], &told("viewer.left")[0]["data"]);
    assert_eq!((&joined["sessionId"], &joined["nodeId"]), (&json!("s1"), &json!("egress-1")));
    assert!(left["viewerId"] == joined["viewerId"] && left["seconds"].is_u64(), "{left}");
    assert!(told("session.started").len() >= 2 && !told("session.back").is_empty());
    assert!(!world.egress.log().contains(&good), "a token is in the log");
}
