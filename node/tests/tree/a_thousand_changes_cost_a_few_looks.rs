//! A burst is answered at once and then in strides, and the end is right.

use std::sync::Arc;
use std::time::Instant;

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_thousand_changes_cost_a_few_looks() {
    let server = Server::start("").await;
    let mut pipe = redis::pipe();
    for child in 0..1000 {
        pipe.cmd("HSET").arg(format!("node:e{child:03}"));
        pipe.arg(&["host", "10.0.0.1", "audioPort", "5002", "videoPort", "5004"]).ignore();
    }
    let mut client = server.client().await;
    pipe.query_async::<()>(&mut client).await.unwrap();
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    settled(&tree).await;
    let before = tree.view().borrow().redis.clone();
    let begun = Instant::now();
    for child in 0..1000 {
        let add = redis::cmd("SADD").arg("children:relay-1").arg(format!("e{child:03}")).clone();
        add.query_async::<()>(&mut client).await.unwrap();
    }
    node.is_told("all children", |told| told.have.len() == 1000).await;
    seen(&tree, "all children", |view| view.topology.children.len() == 1000).await;
    // One more gap: what was asked for last is looked at.
    tokio::time::sleep(ms(400)).await;
    let took = begun.elapsed();
    let after = tree.view().borrow().redis.clone();
    let (looks, events) = (after.looks - before.looks, after.events - before.events);
    println!("1,000 SADDs: {events} events, {looks} looks in {took:?}");
    assert!(events >= 1000, "{events}");
    // Some at once, then ten a second, however long a busy machine takes over the thousand.
    assert!(u128::from(looks) <= 15 + took.as_millis() / 100, "{looks} in {took:?}");
}
