//! A child that registers elsewhere is sent media there; one that only says it still lives costs no look.

use std::sync::Arc;

use node::topology::ChildChange;
use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_child_that_moves_is_moved() {
    let server = Server::start("").await;
    server.child("egress-1", "10.0.0.1").await;
    server.run("SADD children:relay-1 egress-1").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    node.has(&["egress-1"]).await;
    settled(&tree).await;

    let looks = tree.view().borrow().redis.looks;
    for _ in 0..5 {
        server.child("egress-1", "10.0.0.1").await;
        server.run("EXPIRE node:egress-1 60").await;
    }
    tokio::time::sleep(ms(200)).await;
    assert_eq!(tree.view().borrow().redis.looks, looks);

    server.run("HSET node:egress-1 host 10.0.0.9").await;
    let moved = ChildChange::Move { id: "egress-1".to_owned(), place: place("10.0.0.9") };
    let took = node.is_told("a move", |told| told.commands.last() == Some(&moved)).await;
    assert!(took < ms(100), "{took:?}");
}
