//! A server that takes no writes (too few replicas, a full disk) is followed all the same, and it is said why nobody finds
//! the node.

use std::sync::Arc;

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_server_that_refuses_writes_is_read() {
    let server = Server::start("").await;
    server.child("a", "10.0.0.1").await;
    server.run("SADD children:relay-1 a").await;
    server.run("CONFIG SET min-replicas-to-write 1").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start(config(&server), registration(), node.clone());
    node.has(&["a"]).await;
    seen(&tree, "that it refuses writes", |view| {
        let problem = view.redis.problem.as_deref();
        view.redis.connected && problem.is_some_and(|problem| problem.contains("refuses writes (NOREPLICAS"))
    })
    .await;
    server.run("CONFIG SET min-replicas-to-write 0").await;
    settled(&tree).await;
    assert_eq!(tree.view().borrow().redis.problem, None);
}
