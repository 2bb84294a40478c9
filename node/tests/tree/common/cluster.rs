//! Six Redis servers as a Cluster: three masters, each with a replica.

use std::process::Command;
use std::time::{Duration, Instant};

use node::config::{RedisServer, TreeConfig};

use super::server::{Server, free_port};
use super::{LONG, config};

/// A running Cluster.
pub struct Cluster {
    pub servers: Vec<Server>,
}

impl Cluster {
    /// Starts it and waits until it is whole and all replicas follow.
    pub async fn start() -> Cluster {
        let mut servers = Vec::new();
        for _ in 0..6 {
            let lines = format!(
                "cluster-enabled yes\ncluster-port {}\ncluster-node-timeout 1000\ncluster-replica-validity-factor 0",
                free_port()
            );
            servers.push(Server::start(&lines).await);
        }
        let nodes = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
        let output = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(nodes)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let cluster = Cluster { servers };
        let started = Instant::now();
        while !cluster.is_whole() {
            assert!(started.elapsed() < LONG * 3, "the Cluster does not become whole");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cluster
    }

    fn is_whole(&self) -> bool {
        self.servers.iter().all(|server| {
            let at = |words: &[&str]| cli(server.port, words);
            at(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                && (at(&["ROLE"]).starts_with("master")
                    || at(&["INFO", "replication"]).contains("link_status:up"))
        })
    }

    /// What an operator types, by any of the nodes that are up.
    pub fn type_in(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let up = self.servers.iter().find(|server| server.is_up()).unwrap();
        let said = cli(up.port, &[&["-c"], words.as_slice()].concat());
        assert!(!said.contains("ERR") && !said.contains("DOWN"), "{line}: {said}");
        said
    }

    /// Which server is the master of a key.
    pub fn master_of(&self, key: &str) -> usize {
        self.master_of_if_any(key).unwrap()
    }

    /// The same while there may be none, because it has failed.
    pub fn master_of_if_any(&self, key: &str) -> Option<usize> {
        let up = self.servers.iter().find(|server| server.is_up()).unwrap();
        let slot: u16 = cli(up.port, &["CLUSTER", "KEYSLOT", key]).parse().unwrap();
        let nodes = cli(up.port, &["CLUSTER", "NODES"]);
        let has = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse::<u16>().is_ok_and(|first| first <= slot)
                && last.parse::<u16>().is_ok_and(|last| slot <= last)
        };
        let line = nodes.lines().find(|line| {
            line.contains("master") && !line.contains("fail") && line.split(' ').skip(8).any(has)
        });
        let address = line?.split(' ').nth(1)?;
        let port = address.split(['@', ',']).next()?.rsplit_once(':')?.1;
        self.servers.iter().position(|server| server.port.to_string() == port && server.is_up())
    }

    /// Reads it by two of its nodes, the first of which is not there.
    pub fn config(&self) -> TreeConfig {
        let mut config = config(&self.servers[0]);
        let seeds = std::iter::once(free_port()).chain(self.servers.iter().map(|server| server.port));
        config.redis.server =
            RedisServer::Cluster { seeds: seeds.map(|port| ("127.0.0.1".to_owned(), port)).collect() };
        config
    }
}

/// What `redis-cli` says at a server.
pub fn cli(port: u16, words: &[&str]) -> String {
    let port = port.to_string();
    let output = Command::new("redis-cli").args(["-p", &port]).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
