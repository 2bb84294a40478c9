//! `relay-ctl tree` shows, checks and changes a whole tree from a machine that reaches its Redis, or one of its nodes. A real
//! Redis, and relays that run.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::process::{Output, Stdio};

use common::redis::Redis;
use common::{Daemon, run, text, until};

/// An injection and an egress, written by hand, and two relays: relay-1 below the injection, the egress below relay-1.
struct Stage {
    redis: Redis,
    relays: Vec<Daemon>,
}

impl Stage {
    fn set() -> Stage {
        let redis = Redis::start();
        for (id, kind) in [("injection-1", "injection"), ("egress-1", "egress")] {
            let ports = "audioPort 5002 videoPort 5004";
            redis.say(&format!(
                "HSET node:{id} id {id} type {kind} treeId tree-1 host 127.0.0.1 {ports} status active"
            ));
        }
        for command in [
            "SADD children:injection-1 relay-1 relay-2",
            "SET parent:relay-1 injection-1",
            "SET parent:relay-2 injection-1",
            "SADD children:relay-1 egress-1",
            "SET parent:egress-1 relay-1",
            "SADD sessions:active show",
            "HSET session:show treeId tree-1 injectionNodeId injection-1 audioSsrc 1 videoSsrc 2",
        ] {
            redis.say(command);
        }
        let relays = ["relay-1", "relay-2"].map(|id| {
            Daemon::start(&["--node-id", id, "--node-host", "127.0.0.1", "--redis-url", &redis.url()], &[])
        });
        let stage = Stage { redis, relays: relays.into() };
        for id in ["relay-1", "relay-2"] {
            until(id, || stage.redis.say(&format!("HEXISTS directory:tree-1 {id}")) == ":1");
        }
        stage
    }

    fn by_redis(&self, arguments: &[&str]) -> Output {
        run(&[&["tree"], arguments, &["--redis-url", &self.redis.url()]].concat(), &[])
    }

    fn by_node(&self, arguments: &[&str]) -> Output {
        run(&[&["tree"], arguments, &["--node", &self.relays[1].api]].concat(), &[])
    }
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn a_tree_is_seen_from_anywhere() {
    let stage = Stage::set();
    for output in [stage.by_redis(&[]), stage.by_node(&[])] {
        let drawn = text(&output.stdout);
        assert_eq!(code(&output), Some(0), "{drawn}{}", text(&output.stderr));
        let names: Vec<&str> = drawn
            .lines()
            .filter_map(|line| line.split("  ").next())
            .filter(|name| name.contains('-'))
            .collect();
        for name in ["injection-1", "├─ relay-1", "│  └─ egress-1", "└─ relay-2"] {
            assert!(drawn.lines().any(|line| line.starts_with(name)), "{name}: {names:?} {drawn}");
        }
        assert!(drawn.starts_with("tree-1: healthy · 4 nodes · 1 session"), "{drawn}");
        assert!(!drawn.contains('\x1b'), "this is no terminal: {drawn:?}");
    }
    // By HTTP for whoever asks, and as a page for a browser.
    let (status, json) = stage.relays[0].get("/tree");
    assert_eq!(status, 200, "{json}");
    let asked: serde_json::Value = serde_json::from_str(&json).unwrap();
    let printed = stage.by_redis(&["--json"]);
    let printed: serde_json::Value = serde_json::from_str(&text(&printed.stdout)).unwrap();
    assert_eq!(asked["nodes"].as_array().unwrap().len(), 4);
    assert_eq!(printed["edges"], asked["edges"]);
    let sessions = text(&stage.by_node(&["sessions"]).stdout);
    assert!(
        sessions.lines().any(|line| line.starts_with("show ") && line.contains("not started")),
        "{sessions}"
    );

    flows(&stage);
    let output = stage.by_redis(&["status", "--wait"]);
    assert_eq!(code(&output), Some(0), "{}", text(&output.stdout));
    stage.redis.say("SADD children:relay-1 egress-9");
    let output = stage.by_redis(&["status"]);
    let said = text(&output.stdout);
    assert_eq!(code(&output), Some(1), "{said}");
    assert!(said.contains("NOT healthy") && said.contains("egress-9: nobody has registered"), "{said}");
    // What a node has read is shown for a second.
    until("a node says so, too", || code(&stage.by_node(&["status"])) == Some(1));
    assert_eq!(code(&stage.by_node(&["status", "--wait", "--timeout", "1"])), Some(1));
    let output = stage.by_redis(&["doctor"]);
    let said = text(&output.stdout);
    assert_eq!(code(&output), Some(1), "{said}");
    assert!(said.contains("FAIL tree-1: egress-9") && said.contains("relay-1: "), "{said}");
}

/// Every tenth packet is lost on the way to relay-1: that is seen at the edge that leads there.
fn flows(stage: &Stage) {
    let status: serde_json::Value = serde_json::from_str(&stage.relays[0].get("/status").1).unwrap();
    let port = status["network"]["videoPort"].as_u64().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sequence = Cell::new(0_u16);
    until("loss at the edge", || {
        for _ in 0..20 {
            let number = sequence.replace(sequence.get() + 1);
            if number % 10 != 5 {
                let [high, low] = number.to_be_bytes();
                let head = [0x80, 96, high, low, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 3, 4];
                socket.send_to(&head, format!("127.0.0.1:{port}")).unwrap();
            }
        }
        let seen: serde_json::Value =
            serde_json::from_str(&text(&stage.by_redis(&["--json"]).stdout)).unwrap();
        let edge = seen["edges"].as_array().unwrap().iter().find(|edge| edge["to"] == "relay-1").unwrap();
        let loss = edge["loss"].as_f64();
        loss.is_some_and(|loss| (0.05..0.15).contains(&loss)) && edge["packetsPerSecond"].as_f64() > Some(0.0)
    });
    let drawn = text(&stage.by_redis(&[]).stdout);
    assert!(drawn.lines().any(|line| line.contains("relay-1 ") && line.ends_with("% lost")), "{drawn}");
}

#[test]
fn nobody_there_is_2_and_bad_usage_64() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let redis = format!("redis://{nobody}");
    for place in [["--node", &nobody], ["--redis-url", &redis]] {
        let output = run(&[&["tree", "status"], &place[..]].concat(), &[]);
        let why = text(&output.stderr);
        assert_eq!((code(&output), why.lines().count()), (Some(2), 1), "{why}");
        let output = run(&[&["tree"], &place[..]].concat(), &[]);
        assert_eq!(code(&output), Some(1), "{}", text(&output.stderr));
    }
    let both = run(&["tree", "--node", &nobody, "--redis-url", &redis], &[]);
    assert_eq!(code(&both), Some(64), "{}", text(&both.stderr));
    let no_redis = run(&["tree", "move", "a", "--to", "b", "--node", &nobody], &[]);
    assert_eq!(code(&no_redis), Some(64), "{}", text(&no_redis.stderr));
    // A node that is in no tree says so.
    let alone = Daemon::start(&[], &[]);
    let output = run(&["tree", "--node", &alone.api], &[]);
    assert!(text(&output.stderr).contains("in no tree"), "{}", text(&output.stderr));
}

#[test]
fn a_node_is_moved_and_drained_by_its_name() {
    let stage = Stage::set();
    let output = stage.by_redis(&["move", "egress-1", "--to", "relay-2"]);
    let said = text(&output.stdout);
    assert_eq!(code(&output), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.starts_with("egress-1: moved from relay-1 to relay-2") && !said.contains("note"), "{said}");
    assert_eq!(stage.redis.say("SISMEMBER children:relay-1 egress-1"), ":0");
    assert_eq!(stage.redis.say("SISMEMBER children:relay-2 egress-1"), ":1");
    let again = stage.by_redis(&["move", "egress-1", "--to", "relay-2"]);
    assert!(text(&again.stderr).contains("already"), "{}", text(&again.stderr));
    until("the old one ends", || !stage.relays[0].get("/topology").1.contains("egress-1"));

    let output = stage.by_node(&["drain", "relay-1"]);
    let said = text(&output.stdout);
    assert_eq!(code(&output), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.starts_with("relay-1: drain"), "{said}");
    until("it is seen", || {
        let drawn = text(&stage.by_node(&[]).stdout);
        drawn.lines().any(|line| line.contains("relay-1") && line.contains("draining"))
    });
    let output = stage.by_node(&["drain", "relay-1", "--undo"]);
    assert!(text(&output.stdout).starts_with("relay-1: serves as before"), "{}", text(&output.stderr));
    let nobody = stage.by_node(&["drain", "relay-7"]);
    assert!(
        code(&nobody) == Some(1) && text(&nobody.stderr).contains("no node relay-7"),
        "{}",
        text(&nobody.stderr)
    );
}

#[test]
fn a_node_is_attached_and_detached_by_its_name() {
    let stage = Stage::set();
    let said = |output: &Output| text(&output.stdout) + &text(&output.stderr);
    let newcomer = |id: &str| {
        stage.redis.say(&format!(
            "HSET node:{id} id {id} type egress treeId tree-1 host 127.0.0.1 audioPort 5002 videoPort 5004 status active"
        ));
        let entry = r#"{"type":"egress","url":"http://127.0.0.1:1","status":"active"}"#;
        stage.redis.say(&format!("HSET directory:tree-1 {id} '{entry}'"));
    };
    newcomer("egress-2");
    // relay-2 has no children, relay-1 one.
    let output = stage.by_redis(&["attach", "egress-2"]);
    assert!(said(&output).contains("egress-2: attached to relay-2"), "{}", said(&output));
    assert_eq!(stage.redis.say("SISMEMBER children:relay-2 egress-2"), ":1");
    let is = r#"EVAL "return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0" 1 parent:egress-2 relay-2"#;
    assert_eq!(stage.redis.say(is), ":1");
    let again = stage.by_redis(&["attach", "egress-2"]);
    assert_eq!(code(&again), Some(0));
    assert!(said(&again).contains("already"), "{}", said(&again));
    let elsewhere = stage.by_redis(&["attach", "egress-2", "--to", "relay-1"]);
    assert_eq!(code(&elsewhere), Some(1));
    assert!(said(&elsewhere).contains("tree move"), "{}", said(&elsewhere));
    let parent = stage.by_redis(&["detach", "relay-2"]);
    assert_eq!(code(&parent), Some(1));
    assert!(said(&parent).contains("tree drain relay-2"), "{}", said(&parent));
    let output = stage.by_redis(&["detach", "egress-2"]);
    assert!(said(&output).contains("egress-2: no child of relay-2 any more"), "{}", said(&output));
    assert_eq!(stage.redis.say("EXISTS children:relay-2 parent:egress-2"), ":0");
    // One that comes later is waited for.
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| stage.by_redis(&["attach", "egress-3", "--wait"]));
        newcomer("egress-3");
        waiting.join().unwrap()
    });
    assert_eq!(code(&waiting), Some(0), "{}", said(&waiting));
}

#[test]
fn the_tree_is_for_who_has_a_token_and_the_page_for_all() {
    let redis = Redis::start();
    let guarded = [("API_TOKEN", common::SECRET)];
    let daemon = Daemon::start(&["--redis-url", &redis.url(), "--node-host", "127.0.0.1"], &guarded);
    assert_eq!(daemon.get("/tree").0, 401, "it shows more than a node's own");
    let output = run(&["tree", "--node", &daemon.api], &[]);
    assert!(text(&output.stderr).contains("wants a token"), "{}", text(&output.stderr));
    let output = run(&["tree", "--node", &daemon.api], &guarded);
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let page = agent.get(format!("http://{}/tree", daemon.api)).header("Accept", "text/html").call();
    let mut page = page.unwrap();
    assert_eq!(page.headers()["vary"], "Accept");
    assert!(page.headers().contains_key("content-security-policy"));
    let html = page.body_mut().read_to_string().unwrap();
    assert!(
        html.starts_with("<!doctype html>") && !html.contains("relay-1") && !html.contains("http://127"),
        "{html}"
    );
}

#[test]
fn a_prometheus_is_told_of_nodes_as_they_come() {
    let stage = Stage::set();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tree.json");
    let path = file.to_str().unwrap();
    let names = |text: &str| -> Vec<String> {
        let groups: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        let name = |group: &serde_json::Value| {
            format!(
                "{} {}",
                group["labels"]["node_id"].as_str().unwrap(),
                group["targets"][0].as_str().unwrap()
            )
        };
        groups.iter().map(name).collect()
    };
    let places = [0, 1].map(|at: usize| format!("relay-{} {}", at + 1, stage.relays[at].api));
    let output = stage.by_redis(&["targets", "--exporter-port", "0"]);
    assert_eq!(names(&text(&output.stdout)), places, "{}", text(&output.stderr));
    assert_eq!(code(&stage.by_redis(&["targets", "--write", path])), Some(0));
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(names(&written).len(), 4, "and their machines: {written}");

    let url = stage.redis.url();
    let watch = ["tree", "targets", "--watch", "--write", path, "--redis-url", &url];
    let mut watch = common::relay_ctl(&watch, &[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(watch.stderr.take().unwrap()).lines();
    stage.redis.say("HSET node:egress-1 port 7073 host 10.0.0.7");
    until("the new one is there", || {
        names(&std::fs::read_to_string(&file).unwrap()).contains(&"egress-1 10.0.0.7:7073".to_owned())
    });
    let before = std::fs::read_to_string(&file).unwrap();
    stage.redis.end();
    let line = said.next().unwrap().unwrap();
    assert!(line.starts_with("relay-ctl: ") && line.ends_with("; the list stays as it is"), "{line}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    watch.kill().unwrap();
    watch.wait().unwrap();
    let nobody = stage.by_redis(&["targets", "--write", path]);
    assert_eq!(code(&nobody), Some(1), "{}", text(&nobody.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn a_list_that_cannot_be_written_is_bad_usage() {
    let url = "redis://127.0.0.1:1";
    for bad in [
        &["--watch", "--redis-url", url][..],
        &["--write", "/nonexistent/tree.json", "--redis-url", url],
        &["--write", "/tmp", "--redis-url", url],
        &["--exporter-port", "many", "--redis-url", url],
        &["--node", "127.0.0.1:1"],
    ] {
        common::refusal(&run(&[&["tree", "targets"], bad].concat(), &[]), 64);
    }
}
