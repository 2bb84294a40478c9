//! `relay-ctl status` is for scripts too: its exit code says whether the relay is healthy, it does not wait for ever, and
//! waits when asked to.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::{Daemon, run, text};

/// Nothing is pinned there.
const NOWHERE: [&str; 2] = ["--pin-root", "/nonexistent"];

#[test]
fn healthy_is_0() {
    let daemon = Daemon::start(&["--child", "egress-1=127.0.0.1:9:19"], &[]);
    let output = daemon.command(&["status", "--wait"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(": healthy"), "{}", text(&output.stdout));
}

/// Nobody has a Redis there.
#[test]
fn not_healthy_is_1_and_the_status_is_shown() {
    let daemon = Daemon::start(&["--redis", "redis://127.0.0.1:1"], &[]);
    let output = daemon.command(&["status"], &[]);
    assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("NOT healthy"), "{}", text(&output.stdout));
    let waiting = Instant::now();
    let output = daemon.command(&["status", "--json", "--wait", "--timeout", "0.5"], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(waiting.elapsed() >= Duration::from_millis(500));
    assert!(text(&output.stdout).contains("\"healthy\": false"), "{}", text(&output.stdout));
}

#[test]
fn nobody_there_is_2() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = run(&[&["status", "--api", &nobody], &NOWHERE[..]].concat(), &[]);
    let why = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{why}");
    assert!(why.contains("no relay-ctl answers") && why.lines().count() == 1, "{why}");
}

#[test]
fn one_that_takes_the_connection_and_is_silent_is_2_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = silent.local_addr().unwrap().to_string();
    for command in ["status", "children", "streams"] {
        let asked = Instant::now();
        let output = run(&[&[command, "--api", &api, "--timeout", "0.5"], &NOWHERE[..]].concat(), &[]);
        let why = text(&output.stderr);
        assert_eq!(output.status.code(), Some(if command == "status" { 2 } else { 1 }), "{why}");
        assert!(why.contains("has not answered for 0.5 s"), "{why}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{command}: {:?}", asked.elapsed());
    }
}

#[test]
fn bad_usage_is_64() {
    let output = run(&["status", "--timeout", "soon"], &[]);
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
}
