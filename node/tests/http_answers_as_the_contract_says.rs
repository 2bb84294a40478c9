//! What all nodes answer: content types, readiness, the topology after a refresh, and errors as JSON with the right
//! status.

mod common;

use common::{Idle, Served};
use node::http::Access;

#[test]
fn a_node_that_can_do_its_job() {
    let served = Served::start(Idle::default(), Access::default());
    let get = |path| served.ask("GET", path, None, "");
    assert_eq!((get("/status").status, get("/status").body.as_str()), (200, r#"{"healthy":true}"#));
    assert_eq!(get("/status").header("content-type"), "application/json");
    assert_eq!((get("/healthz").status, get("/readyz").status), (200, 200));
    let metrics = get("/metrics");
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(metrics.body.ends_with("up 1\n"), "{}", metrics.body);
    // The answer to a refresh is what it led to.
    let refreshed = served.ask("POST", "/refresh", None, "");
    let topology = r#"{"nodeId":"idle-1","nodeType":"relay","parent":null,"children":["done-1","egress-1"]}"#;
    assert_eq!(refreshed.body, topology);
    assert_eq!(refreshed.body, get("/topology").body);
}

#[test]
fn a_node_that_cannot_is_alive_and_not_ready() {
    let problems = vec!["eth0 is down".to_owned(), "Redis does not answer".to_owned()];
    let served = Served::start(Idle { problems, ..Idle::default() }, Access::default());
    let ready = served.ask("GET", "/readyz", None, "");
    assert_eq!((ready.status, ready.error().as_str()), (503, "eth0 is down; Redis does not answer"));
    assert_eq!(ready.header("retry-after"), "2");
    assert_eq!(served.ask("GET", "/healthz", None, "").status, 200);
}

#[test]
fn errors_are_json_with_the_right_status() {
    let served = Served::start(Idle::default(), Access::default());
    let table = [
        ("GET", "/nowhere", "", 404, "no such path"),
        ("POST", "/nowhere", "{}", 404, "no such path"),
        ("GET", "/refresh", "", 405, "no such method"),
        ("POST", "/status", "", 405, "no such method"),
        ("DELETE", "/children", "", 405, "no such method"),
        ("BREW", "/children", "", 405, "no such method"),
        ("POST", "/children", "[", 400, "JSON"),
        ("POST", "/children", "{\"a\": 1}", 400, "JSON"),
    ];
    for (method, path, body, status, word) in table {
        let answer = served.ask(method, path, None, body);
        assert_eq!(answer.status, status, "{method} {path} {body}");
        let error = answer.error();
        assert!(error.contains(word), "{method} {path} {body}: {error}");
    }
    assert_eq!(served.done(), 0);
}
