//! SADD, SREM, SET and DEL, with nobody publishing anything.

use std::sync::Arc;

use node::topology::ChildChange;
use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_plain_command_takes_effect_at_once() {
    let server = Server::start("").await;
    server.child("egress-1", "10.0.0.1").await;
    server.child("egress-2", "10.0.0.2").await;
    server.run("SADD children:relay-1 egress-1").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    node.has(&["egress-1"]).await;
    settled(&tree).await;
    seen(&tree, "notifications", |view| view.redis.notifications).await;

    server.run("SADD children:relay-1 egress-2").await;
    let took = node.has(&["egress-1", "egress-2"]).await;
    assert!(took < ms(100), "{took:?}");
    server.run("SREM children:relay-1 egress-1").await;
    let took = node.has(&["egress-2"]).await;
    assert!(took < ms(100), "{took:?}");
    let remove = |id: &str| ChildChange::Remove { id: id.to_owned() };
    let add = |id: &str, host| ChildChange::Add { id: id.to_owned(), place: place(host) };
    assert_eq!(
        node.told().commands,
        [add("egress-1", "10.0.0.1"), add("egress-2", "10.0.0.2"), remove("egress-1")]
    );

    server.run("SET parent:relay-1 injection-1").await;
    seen(&tree, "a parent", |view| view.topology.parent.as_deref() == Some("injection-1")).await;
    server.run("DEL parent:relay-1").await;
    seen(&tree, "no parent", |view| view.topology.parent.is_none()).await;
    server.run("DEL children:relay-1").await;
    node.has(&[]).await;
}
