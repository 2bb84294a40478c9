//! Mountpoints in Redis: written once, looked after cheaply, written again when Redis has lost them.

use std::time::Duration;

use egress::records::{Record, Records, keep_checking};
use lab::{Redis, RedisConfig};
use tokio::sync::watch;

use crate::common::{LONG, lab};

fn record(session: &str) -> (String, Record) {
    let fields = vec![("sessionId", session.to_owned())];
    (session.to_owned(), Record { session: session.to_owned(), fields, active: true })
}

#[test]
fn records_are_kept() {
    let lab = lab();
    let redis = Redis::start(&lab, "eg", RedisConfig::default()).unwrap();
    let (keeper, wanted) = watch::channel(Records::from([record("s1"), record("s2")]));
    let config = node::config::RedisConfig::single("127.0.0.1", 6379);
    // What it left itself when it was killed, and what another has.
    redis.cli(&["SADD", "mountpoints:active", "egress-1:old", "egress-9:live"]).unwrap();
    redis.cli(&["SADD", "mountpoints:egress-1", "old"]).unwrap();
    let keeping = lab.in_namespace("eg", || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(keep_checking(config, "egress-1".to_owned(), wanted, Duration::from_millis(200)));
        runtime
    });
    let until = |what: &str, is: &dyn Fn() -> bool| {
        let started = std::time::Instant::now();
        while !is() {
            assert!(started.elapsed() < LONG, "not within {LONG:?}: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let all = || redis.members("mountpoints:active").unwrap();
    let ours = ["egress-1:s1", "egress-1:s2", "egress-9:live"];
    until("what was left has ended", &|| all() == ours);
    let ttl: u64 = redis.cli(&["TTL", "mountpoint:egress-1:s1"]).unwrap().parse().unwrap();
    assert!((86_000..=86_400).contains(&ttl), "{ttl}");

    // Nothing is written while nothing changes.
    let writes = || -> u64 {
        let stats = redis.cli(&["INFO", "commandstats"]).unwrap();
        let hset = stats.lines().find(|line| line.starts_with("cmdstat_hset:")).unwrap_or_default();
        hset.split("calls=").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or_default()
    };
    let looks = || redis.cli(&["INFO", "commandstats"]).unwrap().matches("cmdstat_scard").count();
    let before = writes();
    until("it looks", &|| looks() > 0);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(writes(), before);
    redis.cli(&["FLUSHALL"]).unwrap();
    until("written again", &|| all() == ours[..2]);
    assert_eq!(redis.cli(&["HGET", "mountpoint:egress-1:s2", "active"]).unwrap(), "true");
    drop(keeper);
    until("ended", &|| all().is_empty());
    drop(keeping);
}
