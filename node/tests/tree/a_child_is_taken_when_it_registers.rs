//! The operator may name a child before it is there.

use std::sync::Arc;

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_child_is_taken_when_it_registers() {
    let server = Server::start("").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    settled(&tree).await;
    server.run("SADD children:relay-1 egress-1").await;
    seen(&tree, "a child that is waited for", |view| view.topology.waiting == ["egress-1"]).await;
    server.child("egress-1", "10.0.0.1").await;
    let took = node.has(&["egress-1"]).await;
    assert!(took < ms(100), "{took:?}");
    seen(&tree, "nobody is waited for", |view| view.topology.waiting.is_empty()).await;
}
