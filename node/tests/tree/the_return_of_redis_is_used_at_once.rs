//! Redis is killed and started again: the node keeps what it has, and within a second of the return it has what the keys
//! say by then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn with_its_data() {
    let mut server = Server::start("appendonly yes\nappendfsync always").await;
    for id in ["a", "b"] {
        server.child(id, "10.0.0.1").await;
    }
    server.run("SADD children:relay-1 a b").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    node.has(&["a", "b"]).await;
    settled(&tree).await;
    let gone = Instant::now();
    server.kill();
    seen(&tree, "not connected", |view| !view.redis.connected && view.redis.problem.is_some()).await;
    assert!(gone.elapsed() < ms(500), "noticed after {:?}", gone.elapsed());
    tokio::time::sleep(Duration::from_secs(2)).await;
    node.has(&["a", "b"]).await;

    server.launch();
    server.ready().await;
    let back = Instant::now();
    server.run("SREM children:relay-1 b").await;
    node.has(&["a"]).await;
    seen(&tree, "no problem", |view| view.redis.problem.is_none() && view.redis.reconnects == 1).await;
    println!("converged {:?} after the return", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
}

#[tokio::test]
async fn without_them() {
    let mut server = Server::start("").await;
    server.child("a", "10.0.0.1").await;
    server.run("SADD children:relay-1 a").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    node.has(&["a"]).await;
    settled(&tree).await;
    server.kill();
    seen(&tree, "not connected", |view| !view.redis.connected).await;
    server.launch();
    seen(&tree, "what is held", |view| view.redis.connected && view.topology.held == ["a"]).await;
    let back = Instant::now();
    node.has(&["a"]).await;
    node.has(&[]).await;
    assert!(back.elapsed() > ms(1800), "held for {:?}", back.elapsed());
}
