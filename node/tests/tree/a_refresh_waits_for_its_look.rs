//! A refresh returns when what it found has been carried out, and says why when it could not be.

use std::sync::Arc;
use std::time::Duration;

use node::tree::{Timing, Tree};

use crate::common::*;

#[tokio::test]
async fn a_refresh_waits_for_its_look() {
    let mut server = Server::prepare(
        "user default off\nuser admin on >secret ~* &* +@all\nuser node on >hidden ~* &* +@all -config",
        false,
    )
    .with_user("admin", "secret")
    .up()
    .await;
    server.child("a", "10.0.0.1").await;
    let node = Arc::new(Recorder { takes: ms(200), ..Recorder::default() });
    let config = with_password(config(&server), Some("node"), "hidden");
    let timing = Timing { pulse: Duration::from_secs(3600), ..only_heard() };
    let tree = Tree::start_with(config, registration(), node.clone(), timing);
    settled(&tree).await;
    // Nothing tells of this: only the refresh finds it.
    server.run("SADD children:relay-1 a").await;
    assert!(node.told().have.is_empty());
    tree.refresh().await.unwrap();
    assert_eq!(node.told().have.len(), 1);
    // One that is asked for while another is carried out begins after it.
    server.run("SREM children:relay-1 a").await;
    let (first, second) = tokio::join!(tree.refresh(), async {
        tokio::time::sleep(ms(100)).await;
        server.run("SADD children:relay-1 a").await;
        tree.refresh().await
    });
    assert_eq!((first, second), (Ok(()), Ok(())));
    assert_eq!(node.told().have.len(), 1);

    server.kill();
    let why = tree.refresh().await.unwrap_err();
    assert!(why.contains("Redis at 127.0.0.1"), "{why}");
}
