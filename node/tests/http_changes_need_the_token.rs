//! Where a token is configured, requests that change something need it, and so do those that show media; the others
//! do not.

mod common;

use common::{Idle, Served, TOKEN, with_token};
use node::http::Access;

const CHANGES: [(&str, &str, &str); 5] = [
    ("POST", "/refresh", ""),
    ("POST", "/children", "[]"),
    ("DELETE", "/children/egress-1", ""),
    ("PUT", "/children", "[]"),
    ("POST", "/nowhere", ""),
];

#[test]
fn a_change_without_the_right_token_is_refused_and_does_nothing() {
    let served = Served::start(Idle::default(), with_token());
    let wrong = [
        None,
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer hunter2"),
        Some("Bearer hunter2-hunter3"),
        Some("Bearer hunter2-hunter22"),
        Some("Basic hunter2-hunter2"),
        Some(TOKEN),
    ];
    for (method, path, body) in CHANGES {
        for authorization in wrong {
            let answer = served.ask(method, path, authorization, body);
            assert_eq!(answer.status, 401, "{method} {path} {authorization:?}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            let error = answer.error();
            assert!(error.contains("Authorization: Bearer") && !error.contains(TOKEN), "{error}");
        }
    }
    assert_eq!(served.done(), 0);
}

#[test]
fn a_change_with_the_token_is_carried_out() {
    let served = Served::start(Idle::default(), with_token());
    let authorization = format!("Bearer {TOKEN}");
    let statuses =
        CHANGES.map(|(method, path, body)| served.ask(method, path, Some(&authorization), body).status);
    assert_eq!(statuses, [200, 201, 204, 405, 404]);
    assert_eq!(served.done(), 2);
}

#[test]
fn reading_needs_none_but_media_does() {
    let served = Served::start(Idle::default(), with_token());
    for path in ["/status", "/topology", "/metrics", "/healthz", "/readyz"] {
        for authorization in [None, Some("Bearer wrong")] {
            assert_eq!(served.ask("GET", path, authorization, "").status, 200, "{path}");
        }
        assert_eq!(served.ask("HEAD", path, None, "").status, 200, "{path}");
    }
    for method in ["GET", "HEAD"] {
        assert_eq!(served.ask(method, "/capture", None, "").status, 401);
        assert_eq!(served.ask(method, "/capture", Some("Bearer wrong"), "").status, 401);
        // Written another way it is not the same route, and not one at all.
        assert_eq!(served.ask(method, "/%63apture", None, "").status, 404);
    }
    assert_eq!(served.ask("GET", "/capture", Some(&format!("bearer {TOKEN}")), "").status, 200);
}

#[test]
fn without_a_configured_token_nothing_needs_one() {
    let served = Served::start(Idle::default(), Access { private: &["/capture"], ..Access::default() });
    assert_eq!(served.ask("POST", "/refresh", None, "").status, 200);
    assert_eq!(served.ask("POST", "/children", Some("Bearer whatever"), "[]").status, 201);
    assert_eq!(served.ask("GET", "/capture", None, "").status, 200);
    assert_eq!(served.done(), 2);
}
