//! A key that somebody wrote with the wrong command is named, and nothing is torn down for it.

use std::sync::Arc;

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_key_of_the_wrong_type_is_said() {
    let server = Server::start("").await;
    server.child("a", "10.0.0.1").await;
    server.run("SADD children:relay-1 a").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    node.has(&["a"]).await;
    settled(&tree).await;
    server.run("SET children:relay-1 a").await;
    seen(&tree, "the wrong type", |view| {
        let problem = view.redis.problem.as_deref();
        !view.redis.connected && problem.is_some_and(|problem| problem.contains("wrong type"))
    })
    .await;
    node.has(&["a"]).await;
    server.run("DEL children:relay-1").await;
    settled(&tree).await;
    node.has(&[]).await;
}

/// A child of which only the registration is wrong does not keep the others from coming.
#[tokio::test]
async fn of_a_child_it_concerns_that_child_only() {
    let server = Server::start("").await;
    server.child("a", "10.0.0.1").await;
    server.run("SET node:b here").await;
    server.run("SADD children:relay-1 a b").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    node.has(&["a"]).await;
    settled(&tree).await;
    assert!(tree.view().borrow().topology.refused["b"].contains("no hash"));
    server.run("DEL node:b").await;
    server.child("b", "10.0.0.2").await;
    node.has(&["a", "b"]).await;
}
