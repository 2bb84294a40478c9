use node::record::NodeType;
use scaler::action::Kind;

use super::stage::*;

#[tokio::test]
async fn a_sub_tree_comes_with_keys_events_and_a_message_and_goes_again() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n");
    let (slack, messages) = answers(200, &serde_json::json!("ok"));
    let address = format!("http://127.0.0.1:{slack}/services/T/B/secret");
    let scaler = stage.scaler("scaler-1", &[("SLACK_WEBHOOK", &address)]);
    stage.record(&action(grow_cold()));
    stage.until("it is done", || !stage.is_running()).await;

    assert_eq!(stage.machines().await, ["e1", "e2", "r1"].map(|name| (name.to_owned(), true)).into());
    assert_eq!(stage.members("children:injection-1"), ["r1"]);
    assert_eq!(stage.members("children:r1"), ["e1", "e2"]);
    assert_eq!(
        (stage.say("GET parent:e2"), stage.say("GET parent:r1")),
        ("r1".to_owned(), "injection-1".to_owned())
    );
    assert_eq!(stage.members("nodes:tree-1:egress"), ["e1", "e2"]);
    assert_eq!(stage.members("relay-slots:tree-1:available"), ["r1"]);
    let said = messages.recv_timeout(LONG).unwrap();
    assert!(said.contains("Scaled out: tree-1 → +2 egress nodes, +200 capacity"), "{said}");
    // Viewers could be sent there: that is what it waited for.
    let view = scaler.tree();
    stage.until("its places are seen", || scaler.tree()["places"] == 200).await;
    assert_eq!(view["leads"], true, "{view}");
    let (well, text) = scaler.command(&["status"]);
    assert!(well && text.contains("led by this scaler"), "{text}");
    let (well, text) = scaler.command(&["history"]);
    assert!(well && text.contains("attach e1, e2 below r1"), "{text}");

    stage.record(&action(Kind::Shrink { nodes: names(&["e1", "e2"]) }));
    // It is in Redis only for who leads next.
    let mut scaler = scaler;
    scaler.kill();
    let _next = stage.scaler("scaler-2", &[("SLACK_WEBHOOK", &address)]);
    stage.until("they are gone", || !stage.is_running()).await;
    assert_eq!(stage.machines().await, [("r1".to_owned(), true)].into());
    assert_eq!(
        (stage.members("children:r1"), stage.members("nodes:tree-1:egress")),
        (names(&[]), names(&[]))
    );
    assert_eq!(
        (stage.say("EXISTS parent:e1"), stage.say("EXISTS node:e1")),
        ("0".to_owned(), "0".to_owned())
    );
    let said = messages.recv_timeout(LONG).unwrap();
    assert!(said.contains("Scaled in: tree-1 → -2 nodes"), "{said}");
}

#[tokio::test]
async fn an_egress_with_viewers_waits_until_they_have_gone() {
    let folder = tempfile::tempdir().unwrap();
    let viewers = folder.path().join("viewers");
    std::fs::write(&viewers, "3").unwrap();
    let stage = Stage::set(&[("VIEWERS", &viewers.display().to_string())]).await;
    stage.policy("dry-run = true\n");
    stage.have(&[("r1", NodeType::Relay, "injection-1"), ("e1", NodeType::Egress, "r1")]).await;
    stage.record(&action(Kind::Shrink { nodes: names(&["e1"]) }));
    let scaler = stage.scaler("scaler-1", &[]);
    stage
        .until("it waits", || {
            scaler.tree()["running"][0]["waits"].as_str().is_some_and(|waits| waits.contains("not empty"))
        })
        .await;
    assert_eq!(stage.members("children:r1"), ["e1"], "it serves them still");
    std::fs::write(&viewers, "0").unwrap();
    stage.until("it is gone", || !stage.is_running()).await;
    assert_eq!(stage.machines().await, [("r1".to_owned(), true)].into());
}
