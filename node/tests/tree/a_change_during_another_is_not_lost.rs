//! What changes while the node is still busy with the last change is carried out after it.

use std::sync::Arc;

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_change_during_another_is_not_lost() {
    let server = Server::start("").await;
    for id in ["a", "b"] {
        server.child(id, "10.0.0.1").await;
    }
    let node = Arc::new(Recorder { takes: ms(300), ..Recorder::default() });
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    settled(&tree).await;
    server.run("SADD children:relay-1 a").await;
    tokio::time::sleep(ms(100)).await;
    server.run("SADD children:relay-1 b").await;
    node.has(&["a", "b"]).await;
    // Seen when it came, not when there was time for it.
    assert!(node.told().delays[1] > ms(100), "{:?}", node.told().delays);
}
