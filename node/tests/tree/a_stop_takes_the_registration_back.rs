//! A graceful stop deletes `node:{id}`, and is quick even when Redis is not there.

use std::sync::Arc;
use std::time::Instant;

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_stop_takes_the_registration_back() {
    let server = Server::start("").await;
    let tree = Tree::start(config(&server), registration(), Arc::new(Recorder::default()));
    settled(&tree).await;
    assert_eq!(server.number("EXISTS node:relay-1").await, 1);
    tree.stop().await;
    assert_eq!(server.number("EXISTS node:relay-1").await, 0);
    assert!(tree.refresh().await.unwrap_err().contains("stopping"));
}

#[tokio::test]
async fn even_when_redis_hangs() {
    let server = Server::start("").await;
    let tree = Tree::start(config(&server), registration(), Arc::new(Recorder::default()));
    settled(&tree).await;
    server.signal("-STOP");
    let started = Instant::now();
    tree.stop().await;
    assert!(started.elapsed() < ms(1200), "{:?}", started.elapsed());
    server.signal("-CONT");
}
