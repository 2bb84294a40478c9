//! `POST /drain` at every node: others see it, and `DELETE` undoes it.

mod common;

use axum::http::StatusCode;
use common::{Idle, Served};
use node::drain::Drains;
use node::http::Access;
use serde_json::json;

#[test]
fn a_node_is_drained_and_put_back() {
    let served = Served::start(Idle::default(), Access::default());
    let ask = |method: &str, body: &str| {
        let answer = served.ask(method, "/drain", None, body);
        (answer.status, serde_json::from_str::<serde_json::Value>(&answer.body).unwrap())
    };
    assert_eq!(ask("GET", ""), (200, json!({ "state": "no", "left": 0 })));
    assert_eq!(served.ask("GET", "/readyz", None, "").status, 200);

    assert_eq!(ask("POST", ""), (202, json!({ "state": "draining", "left": 16 })));
    served.node.drain().left(7, None);
    assert_eq!(ask("GET", ""), (200, json!({ "state": "draining", "left": 7 })));
    let ready = served.ask("GET", "/readyz", None, "");
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready.body.contains("7 viewers are left"), "{}", ready.body);

    served.node.drain().done();
    assert_eq!(ask("GET", "").1["state"], "drained");
    assert_eq!(ask("DELETE", ""), (200, json!({ "state": "no", "left": 0 })));
    assert_eq!(served.ask("GET", "/readyz", None, "").status, 200);
}

#[test]
fn what_cannot_be_ordered_is_refused_and_said() {
    let served = Served::start(Idle::default(), Access::default());
    for (body, status, words) in [
        (r#"{"to":"relay-2"}"#, 409, "leave `to` out"),
        (r#"{"too":"relay-2"}"#, 400, "too"),
        (r#"{"to":"relay-2\nand more"}"#, 400, "no name"),
        ("{", 400, "JSON"),
    ] {
        let answer = served.ask("POST", "/drain", None, body);
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(answer.body.contains(words), "{body}: {}", answer.body);
        assert!(!served.node.drain().is_on());
    }
    served.node.drain().begin(None, true, std::time::Instant::now());
    assert_eq!(served.ask("DELETE", "/drain", None, "").status, 409, "it is ending");
}
