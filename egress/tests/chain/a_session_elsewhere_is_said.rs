//! An egress that does not carry a session, or is full, sends a player to another that can serve it; and whoever comes by its own
//! door to itself.

use serde_json::json;

use crate::common::{By, World, lab, on_both};

const OFFER: [(&str, &str); 1] = [("Content-Type", "application/sdp")];

fn location(head: &str) -> String {
    let line = head.lines().find(|line| line.to_lowercase().starts_with("location:"));
    line.map(|line| line["location:".len()..].trim().to_owned()).unwrap_or_default()
}

fn a_session_elsewhere_is_said(by: By) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[("MAX_VIEWERS", "1")]);
    let entry = json!({ "type": "egress", "url": "http://127.0.0.1:9", "status": "active", "maxViewers": 9 });
    world.redis.cli(&["HSET", "directory:tree-1", "egress-9", &entry.to_string()]).unwrap();
    world.redis.cli(&["SET", "node:egress-9", "there"]).unwrap();
    world.redis.cli(&["SADD", "mountpoints:active", "egress-9:far", "egress-9:show"]).unwrap();
    world.redis.cli(&["HSET", "session:far", "treeId", "tree-9"]).unwrap();
    world.session("show", 7, [7777, 8888]);
    world.until("it has a mountpoint", || world.request("GET", "/whep/endpoint/show", &[], "").0 == 204);

    // Not here. What was read of the tree holds for a second.
    world.until("it is sent on", || world.request("POST", "/whep/endpoint/far", &OFFER, "v=0").0 == 307);
    let (status, head, _) = world.request("POST", "/whep/endpoint/far", &OFFER, "v=0");
    assert_eq!(
        (status, location(&head).as_str()),
        (307, "http://127.0.0.1:9/whep/endpoint/far?not=egress-1"),
        "{head}"
    );
    assert!(head.to_lowercase().contains("access-control-allow-origin: *"), "{head}");
    let (status, _, answer) = world.request("POST", "/whep/endpoint/nowhere", &OFFER, "v=0");
    assert_eq!(status, 404, "{answer}");

    // Here: by the way on which it was asked, so that it is right behind every proxy.
    let own = "/watch/show?not=egress-9";
    let (status, head, _) = world.request("GET", own, &[], "");
    assert_eq!((status, location(&head).as_str()), (307, "../?id=show"), "{head}");
    let (status, head, _) = world.request("POST", own, &OFFER, "v=0");
    assert_eq!((status, location(&head).as_str()), (307, "../whep/endpoint/show"), "{head}");
    assert_eq!(world.request("GET", "/watch/nowhere", &[], "").0, 404);

    // Full: one is let in (an empty POST asks for an offer), the next is sent on.
    let (status, head, _) = world.request("POST", "/whep/endpoint/show", &[], "");
    assert_eq!(status, 201, "{head}");
    let (status, head, answer) = world.request("POST", "/whep/endpoint/show", &[], "");
    assert_eq!(
        (status, location(&head).as_str()),
        (307, "http://127.0.0.1:9/whep/endpoint/show?not=egress-1"),
        "{answer}"
    );
    // Whom another has sent here is not sent to and fro, however little that one knows.
    let (status, head, answer) = world.request("POST", "/whep/endpoint/show?not=egress-9", &[], "");
    assert_eq!(status, 503, "{answer}");
    assert!(head.to_lowercase().contains("retry-after: "), "{head}");
    assert_eq!(world.request("GET", own, &[], "").0, 503);
    let metrics = world.request("GET", "/metrics", &[], "").2.to_string();
    for series in
        [r#"watch_redirected_total{egress=\"egress-9\""#, r#"watch_redirected_total{egress=\"egress-1\""#]
    {
        assert!(metrics.contains(series), "no {series}");
    }
}

on_both!(a_session_elsewhere_is_said);
