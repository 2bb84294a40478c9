//! With a token, nobody changes anything or listens in without it, everybody may look, and the token is seen nowhere.

use std::net::SocketAddr;

use crate::common::lab_for;
use crate::common::tree::{API, Tree};
use lab::http;
use lab::relay::{AUDIO, Mode, VIDEO};
use lab::{RedisConfig, Topology};

const TOKEN: &str = "s3cret-token-0815";
const REDIS_PASSWORD: &str = "s3cret-redis-4711";

modes!(changes_need_the_token_and_nobody_sees_it: in_tc_mode = Tc);

fn changes_need_the_token_and_nobody_sees_it(mode: Mode) {
    let lab = lab_for("guard", mode);
    let redis = RedisConfig { password: Some(REDIS_PASSWORD.to_owned()), ..RedisConfig::default() };
    let topology = Topology::one_nic(&lab, 2).unwrap();
    let tree = Tree::grow_with(&lab, topology, mode, 1, redis, |config| {
        config.env("API_TOKEN", TOKEN).env("REDIS_PASSWORD", REDIS_PASSWORD).with(&["--log", "trace"])
    });
    let endpoint = &tree.bench.child(1).endpoint;
    let child =
        format!(r#"{{"name":"by-hand","host":"{}","audioPort":{AUDIO},"videoPort":{VIDEO}}}"#, endpoint.v4);
    let route = format!(r#"{{"ssrc":8888,"port":{VIDEO},"children":["egress-1"]}}"#);
    let requests = [
        ("POST", "/children", child.as_str()),
        ("DELETE", "/children/egress-1", ""),
        ("POST", "/routes", route.as_str()),
        ("POST", "/refresh", ""),
        ("GET", "/capture?count=1&seconds=1", ""),
    ];
    let ask = |method: &str, path: &str, authorization: Option<&str>, body: &str| {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(authorization.map(|value| ("Authorization", value)));
        http::request(&lab, "relay-1", SocketAddr::from(API), method, path, &headers, body).unwrap()
    };
    let wrong = [
        None,
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer s3cret-token-0816"),
        Some("Bearer s3cret-token-08"),
        Some("Bearer s3cret-token-08155"),
        Some("Basic s3cret-token-0815"),
        Some("s3cret-token-0815"),
    ];
    for (method, path, body) in requests {
        for authorization in wrong {
            let refused = ask(method, path, authorization, body);
            assert_eq!(refused.status, 401, "{method} {path} with {authorization:?}: {refused:?}");
            assert!(refused.body.contains("\"error\""), "{refused:?}");
        }
    }
    assert_eq!(tree.forwarding(), ["egress-1"], "nothing was done");

    for path in ["/status", "/topology", "/children", "/streams", "/metrics", "/healthz", "/readyz"] {
        let answer = ask("GET", path, None, "");
        assert_eq!(answer.status, 200, "GET {path} is open: {answer:?}");
        assert!(!answer.body.contains("s3cret") && !answer.head.contains("s3cret"), "{path}: {answer:?}");
    }

    let bearer = format!("Bearer {TOKEN}");
    let refreshed = ask("POST", "/refresh", Some(&bearer), "");
    assert!((200..300).contains(&refreshed.status), "{refreshed:?}");
    let routed = ["route", "8888", "--port", "5004", "--children", "egress-1"];
    let refused = tree.bench.cli().run(&routed).unwrap();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("API_TOKEN"), "says what to do: {refused:?}");
    let answer = tree.bench.cli().env("API_TOKEN", TOKEN).run(&routed).unwrap();
    assert_eq!(answer.code, Some(0), "{answer:?}");

    let process = tree.bench.relay.process();
    let command_line = std::fs::read(format!("/proc/{}/cmdline", process.pid())).unwrap();
    let seen = [String::from_utf8_lossy(&command_line).into_owned(), process.log()];
    for (place, text) in ["the process list", "the log"].iter().zip(&seen) {
        assert!(!text.contains("s3cret"), "{place} shows a secret: {text}");
    }
    assert!(seen[1].contains("TRACE") || seen[1].contains("DEBUG"), "it logged all it has to say");
    let status = tree.bench.cli().ok(&["status"]).unwrap();
    assert!(!status.contains("s3cret"), "{status}");
}
