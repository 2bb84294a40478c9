//! The sentinels name the master; when they name another one, the node is there within seconds, and nothing is torn down.

use std::sync::Arc;
use std::time::Instant;

use node::config::RedisServer;
use node::tree::Tree;

use crate::common::*;

#[tokio::test]
async fn a_sentinel_fail_over_is_followed() {
    let mut master = Server::start("").await;
    let replica = Server::start(&format!("replicaof 127.0.0.1 {}", master.port)).await;
    let sentinel = Server::sentinel(&format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 500\n\
         sentinel failover-timeout main 3000",
        master.port
    ))
    .await;
    for id in ["a", "b"] {
        master.child(id, "10.0.0.1").await;
    }
    master.run("SADD children:relay-1 a").await;
    let mut config = config(&master);
    // The first sentinel is down: the next one is asked.
    let sentinels = [common::server::free_port(), sentinel.port];
    config.redis.server = RedisServer::Sentinel {
        sentinels: sentinels.iter().map(|port| ("127.0.0.1".to_owned(), *port)).collect(),
        master: "main".to_owned(),
    };
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config, registration(), node.clone(), only_heard());
    node.has(&["a"]).await;
    settled(&tree).await;
    // The sentinel has to know the replica before it can fail over to it.
    let started = Instant::now();
    while sentinel.number_of_replicas().await == 0 || replica.number("EXISTS children:relay-1").await == 0 {
        assert!(started.elapsed() < LONG.max(ms(20_000)), "the sentinel does not find the replica");
        tokio::time::sleep(ms(100)).await;
    }

    master.kill();
    seen(&tree, "not connected", |view| !view.redis.connected).await;
    let started = Instant::now();
    while !replica.is_master().await {
        assert!(started.elapsed() < ms(20_000), "no fail-over");
        tokio::time::sleep(ms(20)).await;
    }
    let promoted = Instant::now();
    settled(&tree).await;
    println!("registered at the new master {:?} after it was promoted", promoted.elapsed());
    node.has(&["a"]).await;
    assert_eq!(replica.number("EXISTS node:relay-1").await, 1);
    replica.run("SADD children:relay-1 b").await;
    node.has(&["a", "b"]).await;
}

use crate::common;

impl Server {
    async fn number_of_replicas(&self) -> usize {
        let replicas: Vec<redis::Value> =
            redis::from_redis_value(self.run("SENTINEL REPLICAS main").await).unwrap();
        replicas.len()
    }

    /// A server that is promoted closes all connections (CLIENT KILL, by the sentinel): that of the question, too.
    async fn is_master(&self) -> bool {
        let mut client = self.client().await;
        let role: Result<Vec<redis::Value>, _> = redis::cmd("ROLE").query_async(&mut client).await;
        role.is_ok_and(|role| redis::from_redis_value(role[0].clone()) == Ok("master".to_owned()))
    }
}
