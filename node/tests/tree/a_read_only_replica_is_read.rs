//! A node that is pointed at a replica follows it, and says why nobody finds the node.

use std::sync::Arc;

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_read_only_replica_is_read() {
    let master = Server::start("").await;
    master.child("a", "10.0.0.1").await;
    let replica = Server::start(&format!("replicaof 127.0.0.1 {}", master.port)).await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start(config(&replica), registration(), node.clone());
    seen(&tree, "that it is read-only", |view| {
        let problem = view.redis.problem.as_deref();
        view.redis.connected
            && !view.redis.registered
            && problem.is_some_and(|problem| problem.contains("read-only replica"))
    })
    .await;
    master.run("SADD children:relay-1 a").await;
    node.has(&["a"]).await;

    replica.run("REPLICAOF NO ONE").await;
    settled(&tree).await;
    assert_eq!(tree.view().borrow().redis.problem, None);
    assert_eq!(replica.text("HGET node:relay-1 host").await.as_deref(), Some("127.0.0.1"));
}
