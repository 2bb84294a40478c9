//! How long it takes from an operator's command to the node's, and from the message to it. Printed with `--nocapture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use node::tree::Tree;

use crate::common::*;

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latency() {
    let server = Server::start("").await;
    server.child("a", "10.0.0.1").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config(&server), registration(), node.clone(), only_heard());
    settled(&tree).await;
    tokio::time::sleep(ms(50)).await;
    let mut client = server.client().await;
    let mut whole = Vec::new();
    for turn in 0..100 {
        let commands = node.told().commands.len();
        let verb = if turn % 2 == 0 { "SADD" } else { "SREM" };
        let started = Instant::now();
        redis::cmd(verb).arg("children:relay-1").arg("a").query_async::<()>(&mut client).await.unwrap();
        node.is_told("a command", |told| told.commands.len() > commands).await;
        whole.push(started.elapsed());
        // A quiet time in between, as when a person types.
        tokio::time::sleep(ms(25)).await;
    }
    let mut told = node.told().delays;
    whole.sort();
    told.sort();
    for (what, times) in [("message to command", &told), ("SADD or SREM to command", &whole)] {
        println!("{what}: p50 {:?}, p99 {:?}", percentile(times, 50), percentile(times, 99));
    }
    assert!(percentile(&whole, 50) < ms(20), "{:?}", percentile(&whole, 50));
}
