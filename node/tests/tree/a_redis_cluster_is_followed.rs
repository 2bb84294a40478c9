//! A Redis Cluster of six: what is typed takes effect at once wherever its key is, and a fail-over tears nothing down.

use std::sync::Arc;
use std::time::Instant;

use node::directory::Directory;
use node::drain::{Drain, Giver};
use node::tree::Tree;

use crate::common::cluster::Cluster;
use crate::common::*;

fn names(sessions: &[node::sessions::Session]) -> Vec<&str> {
    sessions.iter().map(|session| session.id.as_str()).collect()
}

#[tokio::test]
async fn a_redis_cluster_is_followed() {
    let mut cluster = Cluster::start().await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(cluster.config(), registration(), node.clone(), only_heard());
    settled(&tree).await;
    let redis = tree.view().borrow().redis.clone();
    assert!(redis.notifications && redis.problem.is_none(), "{redis:?}");

    // Children, the parent and their registrations are at different masters.
    for id in ["a", "b", "injection-1"] {
        cluster.type_in(&format!("HSET node:{id} host 10.0.0.1 audioPort 5002 videoPort 5004"));
    }
    cluster.type_in("SADD children:relay-1 a b");
    println!("a child by SADD: {:?}", node.has(&["a", "b"]).await);
    cluster.type_in("SET parent:relay-1 injection-1");
    let known =
        |told: &recorder::Told| told.upstream.last().is_some_and(|upstream| upstream.origin.is_some());
    node.is_told("the parent", known).await;
    cluster.type_in("HSET node:relay-3 host 10.0.0.9 audioPort 5002 videoPort 5004");
    cluster.type_in("SADD parents:relay-1 relay-3");
    let stands_by = |told: &recorder::Told| {
        told.upstream.last().and_then(|upstream| upstream.standby.get("relay-3")?.origin.clone()).is_some()
    };
    node.is_told("who stands by", stands_by).await;
    cluster.type_in("HSET node:a host 10.0.0.2");
    node.is_told("a move", |told| told.have.get("a") == Some(&place("10.0.0.2"))).await;
    cluster.type_in("SREM children:relay-1 b");
    node.has(&["a"]).await;

    // A session by hand.
    cluster.type_in("HSET session:s1 audioSsrc 1111 videoSsrc 2222 treeId tree-1 active true");
    cluster.type_in("SADD sessions:active s1");
    node.is_told("s1", |told| told.sessions.last().is_some_and(|last| names(last) == ["s1"])).await;

    // The master that has the children ends; its replica takes over.
    let master = cluster.master_of("children:relay-1");
    cluster.servers[master].kill();
    let killed = Instant::now();
    seen(&tree, "not connected", |view| !view.redis.connected).await;
    while cluster.master_of_if_any("children:relay-1").is_none() {
        assert!(killed.elapsed() < LONG * 2, "no fail-over");
        tokio::time::sleep(ms(50)).await;
    }
    let promoted = Instant::now();
    let mut view = tree.view();
    let back = view.wait_for(|view| view.redis.connected && view.redis.registered);
    tokio::time::timeout(LONG * 2, back).await.expect("connected again").unwrap();
    println!("fail-over after {:?}, registered {:?} later", promoted - killed, promoted.elapsed());
    node.has(&["a"]).await;
    assert_eq!(node.told().sessions.len(), 2, "no session came or went: {:?}", node.told().sessions);
    cluster.type_in("SADD children:relay-1 b");
    node.has(&["a", "b"]).await;
    cluster.type_in("SREM sessions:active s1");
    node.is_told("its end", |told| told.sessions.last().is_some_and(Vec::is_empty)).await;
    carriers_are_read(&cluster).await;
    children_are_given_away(&cluster).await;
    tree.stop().await;
    assert_eq!(cluster.type_in("EXISTS node:relay-1"), "0");
}

/// The door's reader: the directory, registrations, sessions and mountpoints are at different masters.
async fn carriers_are_read(cluster: &Cluster) {
    for egress in ["egress-1", "egress-2", "egress-3"] {
        let entry = r#"{"type":"egress","url":"http://e","status":"active","maxViewers":9}"#;
        cluster.type_in(&format!("HSET directory:tree-1 {egress} {entry}"));
    }
    for line in [
        "SET node:egress-1 there",
        "SET node:egress-2 there",
        "SADD mountpoints:active egress-2:s1 egress-3:s1",
    ] {
        cluster.type_in(line);
    }
    let directory = Directory::new(cluster.config().redis, "tree-1");
    let carriers = directory.carriers("s1").await.unwrap();
    assert_eq!(carriers.keys().collect::<Vec<_>>(), ["egress-2"], "egress-3 is dead");
    assert!(directory.carriers("none").await.unwrap().is_empty());
}

/// A drain: sets and parents are at different masters, and what is one MULTI elsewhere is several.
async fn children_are_given_away(cluster: &Cluster) {
    let beside = r#"{"type":"relay","url":"http://r","status":"active","parent":"injection-1"}"#;
    for line in [
        "SADD children:injection-1 relay-1 relay-2",
        "SET node:relay-2 there",
        &format!("HSET directory:tree-1 relay-2 {beside}"),
        "SET parent:a relay-1",
    ] {
        cluster.type_in(line);
    }
    let drain = Arc::new(Drain::new(LONG, "children"));
    let giving = drain.clone();
    let giver = Giver::new(&cluster.config().redis, &registration());
    let giver = tokio::spawn(async move { giver.run(&giving).await });
    drain.begin(None, false, Instant::now());
    let mut stage = drain.stage();
    let drained = tokio::time::timeout(LONG, stage.wait_for(|stage| stage.drained)).await;
    assert!(drained.is_ok(), "{:?}", drain.view());
    giver.abort();
    for (line, wanted) in [
        ("SMEMBERS children:relay-2", "a b"),
        ("SMEMBERS children:relay-1", ""),
        ("GET parent:a", "relay-2"),
        ("SMEMBERS children:injection-1", "relay-2"),
        ("EXISTS parent:relay-1", "0"),
        ("EXISTS parents:relay-1", "0"),
    ] {
        let said = cluster.type_in(line);
        let mut said: Vec<&str> = said.split_whitespace().collect();
        said.sort();
        assert_eq!(said.join(" "), wanted, "{line}");
    }
}

/// One server that has lost what it had is no reason to obey it.
#[tokio::test]
async fn what_one_server_of_a_cluster_lost_is_held() {
    let cluster = Cluster::start().await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(cluster.config(), registration(), node.clone(), only_heard());
    settled(&tree).await;
    cluster.type_in("HSET node:a host 10.0.0.1 audioPort 5002 videoPort 5004");
    cluster.type_in("SADD children:relay-1 a");
    node.has(&["a"]).await;
    let master = cluster.master_of("children:relay-1");
    assert_ne!(master, cluster.master_of("node:relay-1"), "the registration is elsewhere");
    cluster.servers[master].run("FLUSHALL").await;
    seen(&tree, "held", |view| view.topology.held == ["a"]).await;
    cluster.type_in("SADD children:relay-1 a");
    seen(&tree, "not held", |view| view.topology.held.is_empty()).await;
    assert_eq!(node.told().commands.len(), 1, "{:?}", node.told().commands);
}
