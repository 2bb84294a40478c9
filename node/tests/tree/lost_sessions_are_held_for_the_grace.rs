//! Sessions that a server forgets together with everything else go on; what ends in an orderly way ends at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use node::tree::Tree;

use crate::common::*;

/// As an injection writes it.
async fn write(server: &Server, id: &str, ssrc: u32) {
    let video = ssrc + 1;
    server
        .run(&format!(
            "HSET session:{id} sessionId {id} audioSsrc {ssrc} videoSsrc {video} treeId tree-1 active true"
        ))
        .await;
    server.run(&format!("SADD sessions:active {id}")).await;
    tell(server, "created", id).await;
}

async fn tell(server: &Server, what: &str, id: &str) {
    let event = format!(
        r#"PUBLISH sessions:tree:tree-1 {{"type":"session-{what}","sessionId":"{id}","treeId":"tree-1"}}"#
    );
    server.run(&event).await;
}

fn told(node: &Recorder) -> Vec<Vec<String>> {
    let names = |sessions: Vec<_>| {
        sessions.into_iter().map(|session: node::sessions::Session| session.id).collect::<Vec<_>>()
    };
    node.told().sessions.into_iter().map(names).collect()
}

async fn is_told(node: &Recorder, wanted: &[&str]) {
    node.is_told(&format!("sessions {wanted:?}"), |told| {
        told.sessions
            .last()
            .is_some_and(|last| last.iter().map(|session| session.id.as_str()).eq(wanted.iter().copied()))
    })
    .await;
}

async fn following(server: &Server, ids: &[&str]) -> (Arc<Recorder>, Tree) {
    for (number, id) in (1..).zip(ids) {
        write(server, id, 10 * number).await;
    }
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(server), registration(), node.clone(), only_heard());
    is_told(&node, ids).await;
    settled(&tree).await;
    (node, tree)
}

async fn registered_again(server: &Server) {
    let began = Instant::now();
    while server.number("EXISTS node:relay-1").await == 0 {
        assert!(began.elapsed() < LONG);
        tokio::time::sleep(ms(20)).await;
    }
}

#[tokio::test]
async fn sessions_that_are_written_again_never_ended() {
    let server = Server::start("").await;
    let (node, tree) = following(&server, &["s1", "s2"]).await;
    server.run("FLUSHALL").await;
    registered_again(&server).await;
    tree.refresh().await.unwrap();
    write(&server, "s1", 10).await;
    write(&server, "s2", 20).await;
    write(&server, "s3", 30).await;
    is_told(&node, &["s1", "s2", "s3"]).await;
    assert_eq!(told(&node).len(), 2, "of none in between: {:?}", told(&node));
    // The grace is over for those that are back.
    server.run("SREM sessions:active s1").await;
    tell(&server, "destroyed", "s1").await;
    is_told(&node, &["s2", "s3"]).await;
}

#[tokio::test]
async fn one_that_ends_in_the_grace_ends_at_once() {
    let server = Server::start("").await;
    let (node, tree) = following(&server, &["s1", "s2"]).await;
    server.run("FLUSHALL").await;
    registered_again(&server).await;
    tree.refresh().await.unwrap();
    let began = Instant::now();
    // As an injection ends it: the hash stays for a day.
    server.run("HSET session:s1 sessionId s1 audioSsrc 10 videoSsrc 11 treeId tree-1 active false").await;
    tell(&server, "destroyed", "s1").await;
    is_told(&node, &["s2"]).await;
    assert!(began.elapsed() < Duration::from_secs(1), "well within the grace: {:?}", began.elapsed());
    is_told(&node, &[]).await;
    assert_eq!(told(&node).len(), 3, "{:?}", told(&node));
}

#[tokio::test]
async fn a_server_that_comes_back_empty_is_obeyed_after_the_grace() {
    let mut server = Server::start("").await;
    let (node, tree) = following(&server, &["s1"]).await;
    server.kill();
    seen(&tree, "not connected", |view| !view.redis.connected).await;
    let server = server.up().await;
    registered_again(&server).await;
    let back = Instant::now();
    is_told(&node, &[]).await;
    let held = back.elapsed();
    assert!(held > ms(1500) && held < ms(2700), "{held:?}");
}
