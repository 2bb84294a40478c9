//! What is written only by who leads, at one server and in a Redis Cluster.

use node::config::RedisConfig;
use scaler::action::Progress;
use scaler::journal::{AboutKey, Batch, IF, Journal, Running, Unwritten};

use super::common::cluster::{Cluster, cli};
use super::common::{Server, config};
use super::stage::{TREE, action, grow_cold};

/// Longer than the test.
const LEASE: u64 = 600_000;

async fn is_fenced(redis: &RedisConfig, say: &dyn Fn(&str) -> String) {
    let [first, second] = ["first", "second"].map(|me| Journal::new(redis, TREE, me));
    let old = first.take(LEASE, 1000).await.unwrap().unwrap();
    assert_eq!(first.take(LEASE, 2000).await.unwrap(), Ok(old), "renewed, it has the same fence");
    assert_eq!(second.take(LEASE, 2000).await.unwrap(), Err("first".to_owned()));

    let attached = |to: &str| {
        let about = |key: &str, words: &[&str]| AboutKey {
            key: key.to_owned(),
            commands: vec![words.iter().map(|word| (*word).to_owned()).collect()],
        };
        vec![
            about("children:r1", &["SADD", "children:r1", to]),
            about(&format!("parent:{to}"), &["SET", &format!("parent:{to}"), "r1"]),
        ]
    };
    let event = [["PUBLISH", "topology:r1", "{}"].map(str::to_owned).to_vec()];
    first.write_topology(old, &attached("e1"), &event).await.unwrap();
    assert_eq!((say("SMEMBERS children:r1"), say("GET parent:e1")), ("e1".to_owned(), "r1".to_owned()));

    // Its lease runs out, as when it was asleep, and another takes it.
    first.leave(old).await.unwrap();
    let new = second.take(LEASE, 1000).await.unwrap().unwrap();
    assert!(new > old, "also if its clock is behind");
    let running = Running { action: action(grow_cold()), progress: Progress::begun(0) };
    let batch = Batch::of(TREE).running(&running);
    assert_eq!(first.write(old, &batch).await, Err(Unwritten::Fenced));
    assert_eq!(first.write_topology(old, &attached("e2"), &event).await, Err(Unwritten::Fenced));
    assert_eq!((say("SMEMBERS children:r1"), say("EXISTS parent:e2")), ("e1".to_owned(), "0".to_owned()));
    first.leave(old).await.unwrap();
    second.write(new, &batch).await.unwrap();
    assert!(second.read().await.unwrap().running.contains_key("a1"));

    // What goes only if it is as it was.
    let conditional = |value: &str, then: &[&str]| {
        let words = [&[IF, "parent:e1", value], then].concat();
        let commands = vec![words.into_iter().map(str::to_owned).collect()];
        [AboutKey { key: "parent:e1".to_owned(), commands }]
    };
    second.write_topology(new, &conditional("another", &["DEL"]), &[]).await.unwrap();
    assert_eq!(say("GET parent:e1"), "r1");
    second.write_topology(new, &conditional("r1", &["SET", "r2"]), &[]).await.unwrap();
    assert_eq!(say("GET parent:e1"), "r2");
    second.write_topology(new, &conditional("r2", &["DEL"]), &[]).await.unwrap();
    assert_eq!(say("EXISTS parent:e1"), "0");
}

#[tokio::test]
async fn at_one_server() {
    let server = Server::start("").await;
    let say = |line: &str| cli(server.port, &line.split(' ').collect::<Vec<_>>());
    is_fenced(&config(&server).redis, &say).await;
}

#[tokio::test]
async fn in_a_cluster() {
    let cluster = Cluster::start().await;
    is_fenced(&cluster.config().redis, &|line| cluster.type_in(line)).await;
    // A key in another slot has a fence of its own.
    assert!(!cluster.type_in("GET scaler:fence:{children:r1}").is_empty());
}
