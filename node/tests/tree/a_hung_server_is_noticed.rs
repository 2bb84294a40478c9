//! A server that takes connections and never answers is as good as none; it is used again as soon as it goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_hung_server_is_noticed() {
    let server = Server::start("").await;
    server.child("a", "10.0.0.1").await;
    server.run("SADD children:relay-1 a").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    node.has(&["a"]).await;
    settled(&tree).await;

    server.signal("-STOP");
    let took = seen(&tree, "that it hangs", |view| {
        let problem = view.redis.problem.as_deref();
        !view.redis.connected && problem.is_some_and(|problem| problem.contains("does not answer"))
    })
    .await;
    assert!(took < ms(3500), "{took:?}");
    let refresh = Instant::now();
    assert!(tree.refresh().await.unwrap_err().contains("does not answer"));
    assert!(refresh.elapsed() < ms(3000), "{:?}", refresh.elapsed());
    node.has(&["a"]).await;

    server.signal("-CONT");
    let back = Instant::now();
    settled(&tree).await;
    println!("connected {:?} after it went on", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
}
