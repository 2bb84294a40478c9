//! Two relays with one NODE_ID: the second is not ready and says why, the first goes on and says who else is called so.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use common::redis::Redis;
use common::{Daemon, until_said};

fn relay(redis: &Redis) -> Daemon {
    Daemon::start(
        &["--node-id", "r7", "--node-host", "127.0.0.1", "--redis-url", &redis.url(), "--log", "off"],
        &[],
    )
}

/// Whether a path answers so, with all of these words.
fn says(daemon: &Daemon, path: &str, status: u16, words: &[&str]) -> Result<(), String> {
    let (answered, body) = daemon.get(path);
    let all = answered == status && words.iter().all(|word| body.contains(word));
    if all { Ok(()) } else { Err(format!("{path}: {answered} {body}")) }
}

#[test]
fn two_of_one_name_both_say_so() {
    let redis = Redis::start();
    let first = relay(&redis);
    until_said("the first is ready", || says(&first, "/readyz", 200, &["ready"]));
    let second = relay(&redis);
    until_said("the second is refused", || says(&second, "/readyz", 503, &["the name r7 is taken"]));
    until_said("and says so", || {
        says(&second, "/status", 200, &["the name r7 is taken", "\"healthy\":false"])
    });
    until_said("the first knows", || {
        says(&first, "/status", 200, &["is called r7 as well", "\"healthy\":true"])
    });
    until_said("and goes on", || says(&first, "/readyz", 200, &["ready"]));
}
