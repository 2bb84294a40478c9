//! Two relays with one NODE_ID: the second is not ready and says why, the first goes on and says who else is called so.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Daemon;

const LONG: Duration = Duration::from_secs(20);

/// A Redis on loopback; ended when dropped.
struct Redis {
    port: u16,
    process: Child,
}

impl Redis {
    fn start() -> Redis {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is not installed: run `cargo xtask setup`");
        let redis = Redis { port, process };
        until("Redis listens", || {
            TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string())
        });
        redis
    }

    fn relay(&self) -> Daemon {
        let url = format!("redis://127.0.0.1:{}", self.port);
        Daemon::start(
            &["--node-id", "r7", "--node-host", "127.0.0.1", "--redis-url", &url, "--log", "off"],
            &[],
        )
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn until(what: &str, seen: impl Fn() -> Result<(), String>) {
    let began = Instant::now();
    while let Err(instead) = seen() {
        assert!(began.elapsed() < LONG, "not within {LONG:?}: {what}, but {instead}");
        std::thread::sleep(Duration::from_millis(20));
    }
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
    let first = redis.relay();
    until("the first is ready", || says(&first, "/readyz", 200, &["ready"]));
    let second = redis.relay();
    until("the second is refused", || says(&second, "/readyz", 503, &["the name r7 is taken"]));
    until("and says so", || says(&second, "/status", 200, &["the name r7 is taken", "\"healthy\":false"]));
    until("the first knows", || says(&first, "/status", 200, &["is called r7 as well", "\"healthy\":true"]));
    until("and goes on", || says(&first, "/readyz", 200, &["ready"]));
}
