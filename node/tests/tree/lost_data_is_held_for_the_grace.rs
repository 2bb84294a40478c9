//! A server that forgets everything is not obeyed at once. What somebody takes out by hand meanwhile is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn lost_data_is_held_for_the_grace() {
    let server = Server::start("").await;
    for id in ["a", "b"] {
        server.child(id, "10.0.0.1").await;
    }
    server.run("SADD children:relay-1 a b").await;
    server.run("SET parent:relay-1 injection-1").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    node.has(&["a", "b"]).await;
    settled(&tree).await;

    server.run("FLUSHALL").await;
    let took = seen(&tree, "what is held", |view| view.topology.held == ["a", "b"]).await;
    let held = Instant::now();
    assert!(took < Duration::from_millis(2500), "noticed after {took:?}");
    assert_eq!(tree.view().borrow().topology.parent.as_deref(), Some("injection-1"));
    node.has(&["a", "b"]).await;
    seen(&tree, "registered again", |view| view.redis.registered).await;
    assert_eq!(server.number("EXISTS node:relay-1").await, 1);

    // Somebody writes one of them again and takes it out: that is explicit.
    server.child("b", "10.0.0.1").await;
    server.run("SADD children:relay-1 b").await;
    seen(&tree, "b is back", |view| view.topology.held == ["a"]).await;
    server.run("SREM children:relay-1 b").await;
    node.has(&["a"]).await;
    assert!(held.elapsed() < Duration::from_secs(1), "well within the grace: {:?}", held.elapsed());

    node.has(&[]).await;
    let grace = held.elapsed();
    assert!(grace > ms(1800) && grace < ms(2500), "{grace:?}");
    seen(&tree, "nothing held", |view| view.topology.held.is_empty() && view.topology.parent.is_none()).await;
}

/// Without notice in between: the registration is written again before anybody has looked.
#[tokio::test]
async fn what_the_rewriting_finds_missing_is_a_loss() {
    let server = Server::start("").await;
    server.child("a", "10.0.0.1").await;
    server.run("SADD children:relay-1 a").await;
    let node = Arc::new(Recorder::default());
    let never = Duration::from_secs(3600);
    let timing = node::tree::Timing { pulse: never, ..only_heard() };
    let tree = Tree::start_with(config(&server), registration(), node.clone(), timing);
    node.has(&["a"]).await;
    settled(&tree).await;
    server.run("FLUSHALL").await;
    tree.register_as(registration());
    seen(&tree, "what is held", |view| view.topology.held == ["a"]).await;
    assert_eq!(server.number("EXISTS node:relay-1").await, 1);
    assert!(tree.view().borrow().redis.registered);
}
