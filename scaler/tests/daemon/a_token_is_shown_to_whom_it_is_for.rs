//! Where a node is, Redis says, and whoever writes there could have the nodes' token sent to himself.

use scaler::action::Kind;

use super::stage::*;

const TOKEN: &str = "hunter2-hunter2";

/// What an egress was asked that somebody has written into Redis and that wants a token, while it was to be drained; and what the stream
/// says of it.
async fn asked(hosts: &[(&str, &str)]) -> (Vec<String>, String) {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let (port, requests) = answers(401, &serde_json::json!({ "error": "a token is wanted" }));
    stage.say(&format!(
        "HSET node:e9 id e9 type egress treeId tree-1 host 127.0.0.1 port {port} audioPort 5002 videoPort 5004 status active"
    ));
    stage.say(&format!(
        r#"HSET directory:tree-1 e9 {{"type":"egress","url":"http://127.0.0.1:{port}","status":"active"}}"#
    ));
    stage.record(&action(Kind::Shrink { nodes: names(&["e9"]) }));
    let scaler = stage.scaler("scaler-1", &[&[("NODE_TOKEN", TOKEN)], hosts].concat());
    stage.until("it has ended", || !stage.is_running()).await;
    assert!(!stage.history().contains(TOKEN) && !scaler.log().contains(TOKEN), "{}", scaler.log());
    let requests: Vec<String> = requests.try_iter().collect();
    assert!(requests.iter().any(|request| request.starts_with("POST /drain")), "{requests:?}");
    (requests, stage.history())
}

#[tokio::test]
async fn who_is_none_of_its_hosts_never_sees_it() {
    let (requests, history) = asked(&[("NODE_TOKEN_HOSTS", "10.0.0.0/8,*.media.example")]).await;
    for request in requests {
        let head = request.to_ascii_lowercase();
        assert!(!head.contains("authorization") && !request.contains(TOKEN), "{request}");
    }
    assert!(history.contains("none of the hosts") && history.contains("NODE_TOKEN_HOSTS"), "{history}");
}

#[tokio::test]
async fn who_is_one_of_them_is_shown_it_and_so_is_everybody_where_none_are_named() {
    for hosts in [&[("NODE_TOKEN_HOSTS", "10.0.0.0/8,127.0.0.1")][..], &[]] {
        let (requests, history) = asked(hosts).await;
        let is_shown = |request: &String| request.contains(&format!("Bearer {TOKEN}"));
        assert!(requests.iter().filter(|request| request.starts_with("POST")).all(is_shown), "{requests:?}");
        assert!(history.contains("another token than it was shown"), "{history}");
    }
}
