//! A body that is too large, or does not come, is refused before any handler sees it.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::io::{Read, Write};
use std::sync::Arc;

use common::{Idle, Served, listen, routes};
use node::http::Access;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[test]
fn a_body_of_64_kib_is_taken_and_one_byte_more_is_not() {
    let served = Served::start(Idle::default(), Access::default());
    let body = |length: usize| format!("[\"{}\"]", "x".repeat(length - 4));
    assert_eq!(served.ask("POST", "/children", None, &body(65_536)).status, 201);
    let refused = served.ask("POST", "/children", None, &body(65_537));
    assert_eq!(refused.status, 413);
    assert!(refused.error().contains("65536"), "{}", refused.body);
    // Routes that take no body are no way around it.
    assert_eq!(served.ask("POST", "/refresh", None, &body(65_537)).status, 413);
    assert_eq!(served.done(), 1);
}

/// Most clients send all before they read.
#[test]
fn whoever_sends_ten_megabytes_is_told_why_not() {
    let served = Served::start(Idle::default(), Access::default());
    let mut stream = std::net::TcpStream::connect(served.address).unwrap();
    let body = "x".repeat(10 * 1024 * 1024);
    let head = format!("POST /children HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = [0; 13];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"HTTP/1.1 413 ");
}

#[tokio::test]
async fn whoever_asks_before_sending_need_not_send() {
    let head =
        "POST /children HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\nExpect: 100-continue\r\n\r\n";
    let answer = exchange(&[head]).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

/// Sends a piece of a request and reads until the server has nothing more to say.
async fn exchange(pieces: &[&str]) -> String {
    let node = Arc::new(Idle::default());
    let (address, _) = listen(routes(node, Access::default()), std::future::pending()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).await.unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_body_that_does_not_say_how_long_it_is_is_counted() {
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let head = "POST /children HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = exchange(&[head, &chunk, &chunk, "1\r\nx\r\n"]).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(r#"{"error":"#), "{answer}");
}

/// With the clock paused, tokio goes to the next deadline as soon as nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let before = tokio::time::Instant::now();
    let head = "POST /children HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[";
    let answer = exchange(&[head]).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#"{"error":"the body did not come within 10 s"}"#), "{answer}");
    assert_eq!(before.elapsed().as_secs(), 10);
}
