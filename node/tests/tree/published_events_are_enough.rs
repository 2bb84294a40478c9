//! Where a node may not turn keyspace notifications on, what others publish takes effect at once all the same, and what
//! is no event changes nothing.

use std::sync::Arc;

use node::tree::Tree;

use crate::common::*;

const USERS: &str =
    "user default off\nuser admin on >secret ~* &* +@all\nuser node on >hidden ~* &* +@all -config";

#[tokio::test]
async fn published_events_are_enough() {
    let server = Server::prepare(USERS, false).with_user("admin", "secret").up().await;
    for id in ["a", "b", "c"] {
        server.child(id, "10.0.0.1").await;
    }
    let node = Arc::new(Recorder::default());
    let config = with_password(config(&server), Some("node"), "hidden");
    let tree = Tree::start_with(config, registration(), node.clone(), only_heard());
    settled(&tree).await;
    seen(&tree, "why there are no notifications", |view| {
        let problem = view.redis.notifications_problem.as_deref();
        !view.redis.notifications && problem.is_some_and(|problem| problem.contains("CONFIG"))
    })
    .await;

    let publish = |event: &str| format!("PUBLISH topology:relay-1 {event}");
    server.run("SADD children:relay-1 a").await;
    server.run(&publish(r#"{"type":"child-added","nodeId":"relay-1","childId":"a"}"#)).await;
    node.has(&["a"]).await;
    server.run("SREM children:relay-1 a").await;
    server.run(&publish(r#"{"type":"child-removed","nodeId":"relay-1","childId":"a"}"#)).await;
    node.has(&[]).await;
    server.run("SADD children:relay-1 a b c").await;
    server.run(&publish(r#"{"type":"children-added","nodeId":"relay-1","childIds":["a","b","c"]}"#)).await;
    node.has(&["a", "b", "c"]).await;
    server.run("SREM children:relay-1 a b").await;
    server.run(&publish(r#"{"type":"children-removed","nodeId":"relay-1","childIds":["a","b"]}"#)).await;
    node.has(&["c"]).await;
    server.run("SET parent:relay-1 relay-0").await;
    server.run(&publish(r#"{"type":"parent-changed","nodeId":"relay-1","newParent":"relay-0"}"#)).await;
    seen(&tree, "a parent", |view| view.topology.parent.as_deref() == Some("relay-0")).await;

    // None of these is an event, so the child is not seen; the next one is, and is heard after them.
    let looks = tree.view().borrow().redis.looks;
    server.run("SADD children:relay-1 a").await;
    for noise in ["hello", "{", "[]", r#"{"type":"child-eaten","childId":"a"}"#, r#"{"type":"child-added"}"#]
    {
        server.run(&publish(noise)).await;
    }
    tokio::time::sleep(ms(300)).await;
    assert_eq!(tree.view().borrow().redis.looks, looks);
    node.has(&["c"]).await;
    server.run(r#"PUBLISH topology:tree-1 {"type":"topology-reset"}"#).await;
    node.has(&["a", "c"]).await;
}
