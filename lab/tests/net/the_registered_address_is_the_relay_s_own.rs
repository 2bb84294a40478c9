//! Without `--node-host` a relay registers the address that Redis is reached from, or the interface's primary one: never
//! one that moves between hosts, however low it is.

use crate::common::{eventually, lab_for};
use lab::relay::{Mode, RelayConfig, RelayProcess};
use lab::topology::{CONTROL, control_host};
use lab::{Lab, Redis, RedisConfig, Topology};

modes!(the_primary_one_when_redis_is_elsewhere: in_tc_mode = Tc);
modes!(the_one_that_redis_is_reached_from: in_tc_mode = Tc);

fn follow<'lab>(lab: &'lab Lab, mode: Mode, url: &str) -> RelayProcess<'lab> {
    let config = RelayConfig::new("relay-1", mode, Vec::new());
    let config = config.with(&["--redis", url, "--node-id", "relay-1", "--tree-id", "tree-1"]);
    RelayProcess::attach(lab, config).unwrap()
}

fn registered(redis: &Redis<'_>) -> String {
    redis.cli(&["HGET", "node:relay-1", "host"]).unwrap()
}

fn the_primary_one_when_redis_is_elsewhere(mode: Mode) {
    let lab = lab_for("hostprimary", mode);
    Topology::one_nic(&lab, 1).unwrap();
    let control = control_host(&lab, &["relay-1"]).unwrap().remove(0);
    let redis = Redis::start(&lab, CONTROL, RedisConfig::default()).unwrap();
    // Lower than 10.0.1.1, and there before the daemon.
    lab.address("relay-1", "eth0", "10.0.0.9/32").unwrap();
    lab.address("relay-1", "eth0", "169.254.7.7/16").unwrap();
    let relay = follow(&lab, mode, &redis.url(control.v4));
    eventually("it is registered", || !registered(&redis).is_empty());
    assert_eq!(registered(&redis), "10.0.1.1");

    // Media is taken on what comes later, but other nodes are told the same.
    lab.address("relay-1", "eth0", "10.0.0.10/32").unwrap();
    eventually("the new address is listened on", || {
        let status = relay.cli().json("status").unwrap();
        status["network"]["addresses"].list().iter().any(|address| address.text() == "10.0.0.10")
    });
    // Whatever the new address led to has been written by the time that the next look is over.
    let before = relay.cli().json("status").unwrap()["redis"]["looks"].number();
    redis.cli(&["SADD", "children:relay-1", "nobody"]).unwrap();
    eventually("it has looked", || relay.cli().json("status").unwrap()["redis"]["looks"].number() > before);
    assert_eq!(registered(&redis), "10.0.1.1");
}

fn the_one_that_redis_is_reached_from(mode: Mode) {
    let lab = lab_for("hostredis", mode);
    Topology::one_nic(&lab, 1).unwrap();
    lab.address("relay-1", "eth0", "10.0.7.1/24").unwrap();
    lab.address("injection-1", "eth0", "10.0.7.2/24").unwrap();
    let redis = Redis::start(&lab, "injection-1", RedisConfig::default()).unwrap();
    let _relay = follow(&lab, mode, &redis.url("10.0.7.2".parse().unwrap()));
    eventually("it is registered", || !registered(&redis).is_empty());
    assert_eq!(registered(&redis), "10.0.7.1");
}
