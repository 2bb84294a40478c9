//! The password is never shown, and the day it is right all is well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_wrong_password_is_said_until_it_is_right() {
    let server = Server::prepare("requirepass old", false).with_user("default", "old").up().await;
    server.child("a", "10.0.0.1").await;
    server.run("SADD children:relay-1 a").await;
    let node = Arc::new(Recorder::default());
    let config = with_password(config(&server), None, "sesame");
    let tree = Tree::start(config, registration(), node.clone());
    seen(&tree, "what is wrong", |view| {
        view.redis.problem.as_deref().is_some_and(|problem| problem.contains("REDIS_PASSWORD"))
    })
    .await;
    let refused = tree.refresh().await.unwrap_err();
    assert!(refused.contains("REDIS_PASSWORD"), "{refused}");
    let view = tree.view().borrow().clone();
    assert!(!view.redis.connected);
    assert!(!format!("{view:?}").contains("sesame"), "{view:?}");

    server.run("CONFIG SET requirepass sesame").await;
    let right = Instant::now();
    node.has(&["a"]).await;
    settled(&tree).await;
    assert!(right.elapsed() < Duration::from_secs(1), "{:?}", right.elapsed());
    assert_eq!(tree.view().borrow().redis.problem, None);
}

#[tokio::test]
async fn none_where_one_is_wanted() {
    let server = Server::prepare("requirepass old", false).with_user("default", "old").up().await;
    let tree = Tree::start(config(&server), registration(), Arc::new(Recorder::default()));
    seen(&tree, "what is wrong", |view| {
        view.redis.problem.as_deref().is_some_and(|problem| problem.contains("wants a password"))
    })
    .await;
}
