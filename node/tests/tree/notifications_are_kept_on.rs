//! The server's setting is widened, never narrowed, and mended when somebody changes it.

use std::sync::Arc;
use std::time::Instant;

use node::tree::{Timing, Tree};

use crate::common::*;

#[tokio::test]
async fn notifications_are_kept_on() {
    let server = Server::start("notify-keyspace-events Elz").await;
    let timing = Timing { reread: ms(300), ..Timing::default() };
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), timing);
    settled(&tree).await;
    let setting = || async {
        let pair: Vec<String> =
            redis::from_redis_value(server.run("CONFIG GET notify-keyspace-events").await).unwrap();
        pair[1].clone()
    };
    let now = setting().await;
    assert!("ElzKg$shx".chars().all(|class| now.contains(class) || now.contains('A')), "{now}");
    redis::cmd("CONFIG")
        .arg(&["SET", "notify-keyspace-events", ""])
        .query_async::<()>(&mut server.client().await)
        .await
        .unwrap();
    let started = Instant::now();
    while !setting().await.contains('K') {
        assert!(started.elapsed() < LONG);
        tokio::time::sleep(ms(20)).await;
    }
}
