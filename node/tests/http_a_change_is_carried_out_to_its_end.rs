//! Who asked for a change may be gone before it is done; it is not left half done for that.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use common::{Idle, Served, listen};
use node::http::{Access, guard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

#[tokio::test]
async fn even_if_nobody_waits_for_the_answer() {
    let [begun, go_on, done] = [(); 3].map(|()| Arc::new(Notify::new()));
    let change = {
        let (begun, go_on, done) = (begun.clone(), go_on.clone(), done.clone());
        async move || {
            begun.notify_one();
            go_on.notified().await;
            done.notify_one();
        }
    };
    let router = guard(Router::new().route("/change", post(change)), Access::default());
    let (address, _) = listen(router, std::future::pending()).await;

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /change HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    begun.notified().await;
    stream.shutdown().await.unwrap();
    // The server has noticed and hung up as well: nothing of the connection is left.
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    go_on.notify_one();
    tokio::time::timeout(Duration::from_secs(5), done.notified()).await.expect("the change goes on");
}

#[test]
fn one_that_panics_is_answered() {
    let served = Served::start(Idle::default(), Access::default());
    let answer = served.ask("POST", "/panic", None, "");
    assert_eq!(answer.status, 500);
    assert!(answer.error().contains("log"), "{}", answer.body);
    assert_eq!(served.ask("POST", "/refresh", None, "").status, 200);
}
