//! `relay-ctl tree` asks nodes where Redis says that they are, and shows its token only to those hosts that it is for. A real Redis, and a
//! stranger that somebody has written into it.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use common::redis::Redis;
use common::{Daemon, SECRET, refusal, run, text};

const TOKEN: (&str, &str) = ("API_TOKEN", SECRET);
/// Nobody here.
const ELSEWHERE: (&str, &str) = ("NODE_TOKEN_HOSTS", "10.0.0.0/8, *.media.example");

/// An egress that wants a token, in every tree's Redis; gives the heads of its requests.
fn stranger(redis: &Redis) -> mpsc::Receiver<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    redis.say(&format!(
        "HSET node:egress-1 id egress-1 type egress treeId tree-1 host 127.0.0.1 port {port} audioPort 5002 videoPort 5004 status active"
    ));
    let entry = format!(r#"{{"type":"egress","url":"http://127.0.0.1:{port}","status":"active"}}"#);
    redis.say(&format!("HSET directory:tree-1 egress-1 '{entry}'"));
    let (heard, heads) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut head, mut piece) = (Vec::new(), [0; 4096]);
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut piece).unwrap() {
                    0 => break,
                    count => head.extend_from_slice(&piece[..count]),
                }
            }
            let said = r#"{"error":"a token\u001b[2J is wanted"}"#;
            let head_line = "HTTP/1.1 401 x\r\nconnection: close\r\ncontent-type: application/json";
            let _ = write!(stream, "{head_line}\r\ncontent-length: {}\r\n\r\n{said}", said.len());
            if heard.send(text(&head)).is_err() {
                return;
            }
        }
    });
    heads
}

#[test]
fn who_is_none_of_its_hosts_never_sees_it() {
    let redis = Redis::start();
    let heads = stranger(&redis);
    let url = redis.url();
    let drain = ["tree", "drain", "egress-1", "--redis-url", &url];
    let flag = [&drain[..], &["--node-token-host", "10.0.0.0/8"]].concat();
    for (arguments, environment) in [(&drain[..], &[TOKEN, ELSEWHERE][..]), (&flag, &[TOKEN])] {
        let line = refusal(&run(arguments, environment), 1);
        assert!(line.contains("none of the hosts") && line.contains("--node-token-host"), "{line}");
        let head = heads.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(head.starts_with("POST /drain") && !head.contains(SECRET), "{head}");
        assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
    }
    // Settings of a node do not have it: what is said where nobody reads it is not passed over.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scaler.toml");
    std::fs::write(&file, "node-token-hosts = ['10.0.0.0/8']\n").unwrap();
    let line = refusal(&run(&[&drain[..], &["--config", file.to_str().unwrap()]].concat(), &[TOKEN]), 64);
    assert!(line.contains("node-token-hosts"), "{line}");
    let doctor = run(&["tree", "doctor", "--redis-url", &url], &[TOKEN, ELSEWHERE]);
    assert!(text(&doctor.stdout).contains("egress-1"), "{}", text(&doctor.stdout));
    for head in heads.try_iter() {
        assert!(!head.contains(SECRET), "{head}");
    }
}

#[test]
fn who_is_one_of_them_is_shown_it_and_so_is_everybody_where_none_are_named() {
    let redis = Redis::start();
    let heads = stranger(&redis);
    let url = redis.url();
    let drain = ["tree", "drain", "egress-1", "--redis-url", &url];
    // A flag takes the place of the variable.
    let flag = [&drain[..], &["--node-token-host", "127.0.0.0/8"]].concat();
    for (arguments, environment) in [(&flag, &[TOKEN, ELSEWHERE][..]), (&drain.to_vec(), &[TOKEN])] {
        let line = refusal(&run(arguments, environment), 1);
        assert!(line.contains("another token than it was shown"), "{line}");
        let head = heads.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(head.contains(&format!("Bearer {SECRET}")), "{head}");
    }
}

/// It is named by whoever asks, or his own machine's.
#[test]
fn the_node_that_is_asked_for_the_tree_is_trusted() {
    let redis = Redis::start();
    let daemon = Daemon::start(&["--redis-url", &redis.url(), "--node-host", "127.0.0.1"], &[TOKEN]);
    let own = ("API", &*daemon.api);
    for (arguments, environment) in [
        (&["tree", "--node", &daemon.api][..], &[TOKEN, ELSEWHERE][..]),
        (&["tree"], &[TOKEN, ELSEWHERE, own]),
    ] {
        let output = run(arguments, environment);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn what_is_no_host_is_bad_usage() {
    for bad in ["http://egress-1", "egress-1:7073", "*", "10.0.0.1/33"] {
        let line = refusal(&run(&["tree", "--node", "127.0.0.1:1", "--node-token-host", bad], &[TOKEN]), 64);
        assert!(line.contains("--node-token-host") && line.contains(bad), "{line}");
    }
}
