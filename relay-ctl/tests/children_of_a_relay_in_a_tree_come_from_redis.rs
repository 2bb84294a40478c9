//! A relay that follows a tree refuses children from anywhere else, and says where they belong.

mod common;

use common::{Daemon, refusal, run};
use nix::sys::signal::Signal;

/// A Redis that nobody needs for this: port 1 refuses.
const REDIS: (&str, &str) = ("REDIS_URL", "redis://127.0.0.1:1");

#[test]
fn child_and_redis_contradict_each_other() {
    let child = ["--child", "egress-1=127.0.0.1:20000:20002"];
    let attach = ["attach", "lo", "--mode", "userspace", "--node-id", "r7"];
    let line = refusal(&run(&[&attach[..], &child].concat(), &[REDIS]), 64);
    assert!(line.contains("--child egress-1") && line.contains("SADD children:r7 egress-1"), "{line}");
}

#[test]
fn a_running_relay_takes_none_by_http() {
    let daemon = Daemon::start(&["--node-id", "r7", "--log", "off"], &[REDIS]);
    for arguments in [&["child", "add", "a=127.0.0.1:20000:20002"][..], &["child", "remove", "a"]] {
        let line = refusal(&daemon.command(arguments, &[]), 1);
        assert!(line.contains("come from Redis; redis-cli SADD children:r7 NAME"), "{line}");
    }
    assert!(daemon.get("/children").1.contains(r#""children":[]"#));
    assert!(daemon.stop(Signal::SIGINT).0.success());
}
