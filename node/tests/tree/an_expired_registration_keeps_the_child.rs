//! Media beats bookkeeping: a registration that expires is said, and that is all.

use std::sync::Arc;

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn an_expired_registration_keeps_the_child() {
    let server = Server::start("").await;
    server.child("egress-1", "10.0.0.1").await;
    server.run("SADD children:relay-1 egress-1").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    node.has(&["egress-1"]).await;
    settled(&tree).await;
    server.run("PEXPIRE node:egress-1 50").await;
    seen(&tree, "a stale child", |view| view.topology.stale == ["egress-1"]).await;
    node.has(&["egress-1"]).await;
    // Taken out by somebody, it goes although its hash is gone.
    server.run("SREM children:relay-1 egress-1").await;
    node.has(&[]).await;
}
