//! HTTP/2 on the port of HTTP/1.1, for proxies that keep one connection for all: without TLS, known beforehand (RFC 9113
//! section 3.3).
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use common::{Idle, Served};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::{Builder, SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use node::config::HttpConfig;
use node::http::{Access, Bounds, Limit, Limits, Rate, Trusted};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

type Connection = SendRequest<Full<Bytes>>;

async fn connected(served: &Served, before: &[u8]) -> Connection {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(before).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn status(connection: &mut Connection, method: &str, path: &str, client: &str, body: &str) -> u16 {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://h{path}"))
        .header("x-forwarded-for", client)
        .header("content-type", "application/json");
    let body = Full::new(Bytes::from(body.to_owned()));
    let answer = connection.send_request(request.body(body).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    if path != "/capture" {
        answer.into_body().collect().await.unwrap();
    }
    status
}

#[test]
fn many_requests_share_a_connection() {
    let served = Served::start(Idle::default(), Access::default());
    tokio::runtime::Runtime::new().unwrap().block_on(many_requests(&served));
}

async fn many_requests(served: &Served) {
    let mut connection = connected(served, b"").await;
    assert_eq!(status(&mut connection, "GET", "/capture", "", "").await, 200, "it goes on for ever");
    assert_eq!(status(&mut connection, "GET", "/nowhere", "", "").await, 404);
    assert_eq!(status(&mut connection, "POST", "/children", "", r#"["a"]"#).await, 201);
    assert_eq!(status(&mut connection, "POST", "/children", "", &"x".repeat(70_000)).await, 413);
    let many = (0..300).map(|_| {
        let mut connection = connection.clone();
        tokio::spawn(async move { status(&mut connection, "POST", "/refresh", "", "").await })
    });
    for answer in many.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), 200);
    }
    assert_eq!(served.done(), 301);
}

#[test]
fn clients_on_one_connection_are_told_apart() {
    let rate = Rate { burst: NonZeroU32::new(2).unwrap(), per_second: NonZeroU32::MIN };
    let trusted = Trusted::parse(&["127.0.0.1".to_owned()]).unwrap();
    let config = HttpConfig { rate, trusted, proxy_protocol: true, ..HttpConfig::default() };
    let served = Served::start(Idle::default(), Access { limits: Limits::new(config), ..Access::default() });
    tokio::runtime::Runtime::new().unwrap().block_on(four_requests(&served));
}

async fn four_requests(served: &Served) {
    let mut connection = connected(served, b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n").await;
    let mut statuses = Vec::new();
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        statuses.push(status(&mut connection, "GET", "/status", client, "").await);
    }
    assert_eq!(statuses, [200, 200, 429, 200]);
}

/// Every place is taken by a peer that asks and leaves no room for an answer.
#[test]
fn who_takes_no_answer_gives_way() {
    let head = Duration::from_millis(300);
    let bounds = Bounds { connections: 2, client_connections: 1000, head };
    let served = Served::start_within(Idle::default(), Access::default(), bounds);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut greedy = Vec::new();
        for _ in 0..2 {
            let stream = TcpStream::connect(served.address).await.unwrap();
            let mut builder = Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(0);
            let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let request = Request::builder().uri("http://h/status").body(Full::new(Bytes::new())).unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            greedy.push((sender, answer));
        }
        // Nothing but health is answered beside them, for a while.
        tokio::task::block_in_place(|| {
            let began = Instant::now();
            while served.ask("GET", "/status", None, "").status != 200 {
                assert!(began.elapsed() < Duration::from_secs(10), "they never give way");
            }
        });
        assert!(served.limits.refused(Limit::Connections) > 0);
        for (_, answer) in greedy.drain(..1) {
            assert!(
                answer.into_body().collect().await.is_err(),
                "the first one's connection has been closed"
            );
        }
    });
}
