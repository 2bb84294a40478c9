//! With a token for reading, what operators read needs it, or the API's; health does not, and says no more than it must. With a
//! listener of their own, the other one has nothing of theirs.

mod common;

use common::{Idle, Served, TOKEN, with_token};
use node::http::Access;
use node::secret::Secret;

const READING: &str = "read-read-read";

#[test]
fn what_operators_read_needs_one_of_the_two() {
    let access = Access { reading: Some(Secret::new(READING)), ..with_token() };
    let problems = vec!["Janus ws://10.0.0.5 does not answer".to_owned()];
    let served = Served::start(Idle { problems, ..Idle::default() }, access);
    for path in ["/status", "/topology", "/metrics"] {
        for authorization in [None, Some("Bearer wrong"), Some("Bearer "), Some(READING)] {
            for method in ["GET", "HEAD"] {
                let answer = served.ask(method, path, authorization, "");
                assert_eq!(answer.status, 401, "{method} {path} {authorization:?}");
                assert_eq!(answer.header("www-authenticate"), "Bearer");
            }
        }
        let error = served.ask("GET", path, None, "").error();
        assert!(error.contains("READ_TOKEN") && error.contains("API_TOKEN"), "{error}");
        for token in [READING, TOKEN] {
            assert_eq!(served.ask("GET", path, Some(&format!("Bearer {token}")), "").status, 200, "{path}");
        }
    }
    let reading = format!("Bearer {READING}");
    assert_eq!(served.ask("POST", "/refresh", Some(&reading), "").status, 401);
    assert_eq!(served.ask("GET", "/capture", Some(&reading), "").status, 401, "it shows media");
    assert_eq!(
        (served.ask("GET", "/healthz", None, "").status, served.ask("GET", "/nowhere", None, "").status),
        (200, 404)
    );
    let ready = |authorization: Option<&str>| {
        let answer = served.ask("GET", "/readyz", authorization, "");
        (answer.status, answer.error())
    };
    assert_eq!(ready(None), (503, "not ready".to_owned()));
    assert_eq!(ready(Some(&reading)), (503, "Janus ws://10.0.0.5 does not answer".to_owned()));
}

#[test]
fn where_operators_have_a_listener_of_their_own_the_other_has_nothing_of_theirs() {
    let served = Served::start(Idle::default(), Access { is_public: true, ..with_token() });
    let token = format!("Bearer {TOKEN}");
    for (method, path) in [
        ("GET", "/status"),
        ("GET", "/metrics"),
        ("GET", "/topology"),
        ("GET", "/capture"),
        ("POST", "/refresh"),
        ("POST", "/children"),
        ("DELETE", "/children/egress-1"),
        ("GET", "/nowhere"),
    ] {
        for authorization in [None, Some(token.as_str())] {
            let answer = served.ask(method, path, authorization, "");
            assert_eq!(
                (answer.status, answer.error().contains("no such path")),
                (404, true),
                "{method} {path}"
            );
        }
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(served.ask("GET", path, None, "").status, 200, "{path}");
    }
    assert_eq!(served.done(), 0);
}
