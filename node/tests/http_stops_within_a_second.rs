//! Told to stop, the server finishes what is under way, and does not wait for what goes on for ever.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Idle, listen, routes};
use node::http::Access;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn ask(address: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    stream
}

/// Asks for a path, tells the server to stop, and gives how long it takes to end.
async fn time_to_stop(path: &str) -> Duration {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let routes = routes(Arc::new(Idle::default()), Access::default());
    let (address, server) = listen(routes, async move { stopped.await.unwrap() }).await;
    let _under_way = ask(address, path).await;
    let told = Instant::now();
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    TcpStream::connect(address).await.expect_err("nobody listens any more");
    told.elapsed()
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_it_up() {
    let taken = time_to_stop("/status").await;
    assert!(taken < Duration::from_millis(500), "{taken:?}");
}

#[tokio::test]
async fn a_stream_without_end_is_given_a_second() {
    let taken = time_to_stop("/capture").await;
    assert!((1000..1900).contains(&taken.as_millis()), "{taken:?}");
}
