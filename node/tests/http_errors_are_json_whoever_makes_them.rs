//! What axum refuses by itself is refused in our words: JSON, with the status and the headers that it had.

mod common;

use std::io::Write;

use axum::Router;
use axum::extract::{Path, Query};
use axum::http::{StatusCode, header};
use axum::routing::get;
use common::{Answer, Served, TOKEN, connect, next_status};
use node::http::{Access, guard};

#[derive(serde::Deserialize)]
struct Wanted {
    #[allow(dead_code, reason = "only its type matters")]
    count: u32,
}

fn routes() -> Router {
    let own = Router::new()
        .route("/named/{name}", get(async |Path(name): Path<String>| name))
        .route("/numbered/{number}", get(async |Path(number): Path<u32>| number.to_string()))
        .route("/counted", get(async |Query(Wanted { .. }): Query<Wanted>| "counted"))
        .route("/silent", get(async || StatusCode::SERVICE_UNAVAILABLE))
        .route("/gone", get(async || (StatusCode::NOT_FOUND, [(header::RETRY_AFTER, "7")], "gone")));
    guard(own, Access::default())
}

#[test]
fn test() {
    let served = Served::router(routes());
    let ask = |method: &str, path: &str| -> Answer { served.ask(method, path, Some(TOKEN), "") };
    let table = [
        ("GET", "/named/%ff", 400, "UTF-8"),
        ("GET", "/numbered/x", 400, "u32"),
        ("GET", "/counted", 400, "count"),
        ("GET", "/counted?count=x", 400, "count"),
        ("GET", "/silent", 503, "Service Unavailable"),
        ("GET", "/gone", 404, "gone"),
        ("GET", "/nowhere", 404, "no such path"),
        ("POST", "/gone", 405, "no such method"),
    ];
    for (method, path, status, words) in table {
        let answer = ask(method, path);
        assert_eq!(answer.status, status, "{method} {path}");
        let error = answer.error();
        assert!(error.contains(words), "{method} {path}: {error}");
    }
    assert_eq!(ask("GET", "/gone").header("retry-after"), "7");
    assert_eq!(ask("POST", "/gone").header("allow"), "GET,HEAD", "RFC 9110 section 15.5.6");
    assert_eq!(ask("GET", "/named/x").body, "x", "what succeeds is as it was");
}

/// What is no request at all has a status and nothing else, for there is nobody yet to make more of it.
#[test]
fn heads_that_cannot_be_read_have_a_status() {
    let served = Served::router(routes());
    let long = format!("GET /silent HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    for (head, status) in
        [("hello\r\n\r\n", 400), ("GET / HTTP/1.1\r\nb\u{7}d: 1\r\n\r\n", 400), (&long, 431)]
    {
        let mut stream = connect("127.0.0.1", served.address);
        // The rest of a long one may find nobody who reads it.
        let _ = stream.write_all(head.as_bytes());
        assert_eq!(next_status(&mut stream), status, "{head:.40}");
    }
}
