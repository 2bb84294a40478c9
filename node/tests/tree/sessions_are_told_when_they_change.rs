//! The node hears of the sessions of its tree, and only when they are others than before.

use std::sync::Arc;

use node::media::Ssrc;
use node::sessions::Session;
use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn sessions_are_told_when_they_change() {
    let server = Server::start("").await;
    server.run("HSET session:s1 sessionId s1 audioSsrc 1111 videoSsrc 2222 treeId tree-1 active true").await;
    server.run("HSET session:s2 sessionId s2 audioSsrc 5 videoSsrc 6 treeId tree-2 active true").await;
    server.run("SADD sessions:active s1 s2").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    let s1 = Session {
        id: "s1".to_owned(),
        ssrcs: [1111, 2222].map(Ssrc).into(),
        room_id: None,
        video_codec: None,
    };
    let s3 = Session {
        id: "s3".to_owned(),
        ssrcs: [3333, 4444].map(Ssrc).into(),
        room_id: None,
        video_codec: None,
    };
    node.is_told("s1", |told| told.sessions == [vec![s1.clone()]]).await;
    settled(&tree).await;

    let publish = |event: &str| {
        format!(
            r#"PUBLISH sessions:tree:tree-1 {{"type":"session-{event}","sessionId":"s3","treeId":"tree-1"}}"#
        )
    };
    // As an injection does it, the event last.
    server.run("HSET session:s3 sessionId s3 audioSsrc 3333 videoSsrc 4444 treeId tree-1 active true").await;
    server.run("SADD sessions:active s3").await;
    server.run(&publish("created")).await;
    node.is_told("s3", |told| told.sessions.last() == Some(&vec![s1.clone(), s3.clone()])).await;
    server.run("HSET session:s3 active false").await;
    server.run(&publish("destroyed")).await;
    node.is_told("s3 is over", |told| told.sessions.last() == Some(&vec![s1.clone()])).await;
    server.run(&publish("destroyed")).await;
    tree.refresh().await.unwrap();
    tokio::time::sleep(ms(200)).await;
    assert_eq!(node.told().sessions.len(), 3);
}
