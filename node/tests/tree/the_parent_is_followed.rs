//! Where media is to come from: the parent's addresses as it registers them, live, and known for as long as no other parent
//! is named.

use std::sync::Arc;

use node::tree::Tree;

use crate::common::*;

/// Redis' command line for a node that registers with these addresses.
fn register(id: &str, host: &str, addresses: &str) -> String {
    format!("HSET node:{id} host {host} audioPort 5002 videoPort 5004 addresses {addresses}")
}

/// The addresses that media is to come from, as the node was told last.
fn addresses(told: &recorder::Told) -> Vec<String> {
    let origin = told.upstream.last().and_then(|upstream| upstream.origin.as_ref());
    origin.map(|origin| origin.addresses.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

#[tokio::test]
async fn the_parent_is_followed() {
    let server = Server::start("").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    settled(&tree).await;
    assert_eq!(node.told().upstream.len(), 1, "told once that there is none");

    let is_told = async |what: &str, wanted: &[&str]| {
        let took = node.is_told(what, |told| addresses(told) == wanted).await;
        assert!(took < ms(100), "{what}: {took:?}");
    };
    server.run("SET parent:relay-1 a").await;
    node.is_told("a parent that is not registered", |told| {
        told.upstream.last().is_some_and(|u| u.problem.is_some())
    })
    .await;
    server.run(&register("a", "10.0.0.1", "10.0.0.1,10.1.0.1")).await;
    is_told("it registers", &["10.0.0.1", "10.1.0.1"]).await;
    server.run(&register("a", "10.0.0.1", "10.0.0.1")).await;
    is_told("an address goes", &["10.0.0.1"]).await;
    server.run(&register("b", "10.0.0.2", "10.0.0.2")).await;
    server.run("SET parent:relay-1 b").await;
    is_told("another parent", &["10.0.0.2"]).await;

    // That it says that it still lives costs no look, and its end changes nothing.
    settled(&tree).await;
    let looks = tree.view().borrow().redis.looks;
    for _ in 0..5 {
        server.run(&register("b", "10.0.0.2", "10.0.0.2")).await;
    }
    tokio::time::sleep(ms(200)).await;
    assert_eq!(tree.view().borrow().redis.looks, looks);
    server.run("DEL node:b").await;
    node.is_told("it is not registered any more", |told| {
        told.upstream.last().is_some_and(|u| u.problem.is_some())
    })
    .await;
    server.run("DEL parent:relay-1").await;
    seen(&tree, "no parent", |view| view.topology.parent.is_none()).await;
    assert_eq!(addresses(&node.told()), ["10.0.0.2"]);
}

#[tokio::test]
async fn standby_parents_are_followed_as_the_parent_is() {
    let server = Server::start("").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    settled(&tree).await;
    let standby = |told: &recorder::Told| {
        let standby = told.upstream.last().map(|upstream| upstream.standby.clone()).unwrap_or_default();
        let of = |(id, standby): (String, node::topology::Standby)| {
            let addresses = standby.origin.map(|origin| origin.addresses).unwrap_or_default();
            format!("{id} {addresses:?}")
        };
        standby.into_iter().map(of).collect::<Vec<_>>().join(", ")
    };
    let is_told = async |what: &str, wanted: &str| {
        let took = node.is_told(what, |told| standby(told) == wanted).await;
        assert!(took < ms(100), "{what}: {took:?}");
    };
    server.run(&register("a", "10.0.0.1", "10.0.0.1")).await;
    server.run("SET parent:relay-1 a").await;
    server.run("SADD parents:relay-1 b").await;
    is_told("one that is not registered", "b {}").await;
    server.run(&register("b", "10.0.0.2", "10.0.0.2")).await;
    is_told("it registers", "b {10.0.0.2}").await;
    server.run(&register("b", "10.0.0.3", "10.0.0.3")).await;
    is_told("it is elsewhere", "b {10.0.0.3}").await;
    seen(&tree, "b stands by", |view| view.topology.standby == ["b"]).await;
    let said = async || server.text("HGET directory:tree-1 relay-1").await.unwrap_or_default();
    while !said().await.contains(r#""standby":["b"]"#) {
        tokio::time::sleep(ms(5)).await;
    }
    server.run("DEL node:b").await;
    let gone =
        |told: &recorder::Told| told.upstream.last().is_some_and(|up| up.standby["b"].problem.is_some());
    node.is_told("it is not registered any more", gone).await;
    assert_eq!(standby(&node.told()), "b {10.0.0.3}", "media beats bookkeeping");
    server.run("SADD children:relay-1 b").await;
    seen(&tree, "a loop", |view| view.topology.refused.contains_key("b")).await;
    server.run("SREM parents:relay-1 b").await;
    is_told("taken out", "").await;
}
