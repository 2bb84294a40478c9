//! `node:{id}`: all fields, with a time to live, written again and again, at once when something in it changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use node::record::Registration;
use node::tree::{Timing, Tree};

use crate::common::*;

async fn hash(server: &Server) -> BTreeMap<String, String> {
    redis::from_redis_value(server.run("HGETALL node:relay-1").await).unwrap()
}

#[tokio::test]
async fn it_is_written_whole_and_again() {
    let server = Server::start("").await;
    let timing = Timing { ttl: ms(900), rewrite: ms(300), ..Timing::default() };
    let tree = Tree::start_with(config(&server), registration(), Arc::new(Recorder::default()), timing);
    settled(&tree).await;
    let whole: BTreeMap<String, String> = registration()
        .fields("active", &node::addresses::own())
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(hash(&server).await, whole);
    let ttl = server.number("PTTL node:relay-1").await;
    assert!(ttl > 0 && ttl <= 900, "{ttl}");
    // Not only its time to live: fields that are gone come back.
    server.run("HDEL node:relay-1 host").await;
    let started = Instant::now();
    while hash(&server).await != whole {
        assert!(started.elapsed() < LONG);
        tokio::time::sleep(ms(20)).await;
    }
    tokio::time::sleep(ms(1500)).await;
    assert_eq!(hash(&server).await, whole);
}

#[tokio::test]
async fn it_lives_for_a_minute() {
    let server = Server::start("").await;
    let tree = Tree::start(config(&server), registration(), Arc::new(Recorder::default()));
    settled(&tree).await;
    let ttl = server.number("TTL node:relay-1").await;
    assert!((59..=60).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn what_changes_is_written_at_once() {
    let server = Server::start("").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start(config(&server), registration(), node.clone());
    settled(&tree).await;
    tree.register_as(Registration { host: "10.9.9.9".to_owned(), media: [6002, 6004], ..registration() });
    let started = Instant::now();
    while hash(&server).await["host"] != "10.9.9.9" {
        assert!(started.elapsed() < ms(500));
        tokio::time::sleep(ms(5)).await;
    }
    assert_eq!(hash(&server).await["audioPort"], "6002");
    // An illness shows with the next pulse.
    *node.health.lock().unwrap() = "no route to any child".to_owned();
    let started = Instant::now();
    while hash(&server).await["status"] != "no route to any child" {
        assert!(started.elapsed() < ms(3000));
        tokio::time::sleep(ms(50)).await;
    }
    // Somebody deletes it: it is there again at once.
    server.run("DEL node:relay-1").await;
    let started = Instant::now();
    while server.number("EXISTS node:relay-1").await == 0 {
        assert!(started.elapsed() < ms(500));
        tokio::time::sleep(ms(5)).await;
    }
}
