use node::record::NodeType::{Egress, Relay};
use scaler::action::Kind;

use super::stage::*;

const DRY: &str = "dry-run = true\n[pace]\nlook = 0.2\n";

/// As after an hour without a scaler, or when somebody has taken his time to approve it.
#[tokio::test]
async fn who_lives_again_is_not_cleared_away() {
    let stage = Stage::set(&[]).await;
    stage.policy(DRY);
    stage.have(&[("r1", Relay, "injection-1"), ("e1", Egress, "r1")]).await;
    stage.record(&action(Kind::Clear { nodes: names(&["e1", "gone"]) }));
    let _scaler = stage.scaler("scaler-1", &[]);
    stage.until("it has ended", || !stage.is_running()).await;
    assert_eq!(stage.machines().await.get("e1"), Some(&true), "{}", stage.history());
    assert_eq!(stage.say("GET parent:e1"), "r1");
    assert!(stage.history().contains("e1 (was dead, and lives again)"), "{}", stage.history());
}

#[tokio::test]
async fn a_relay_that_has_children_by_now_stays() {
    let stage = Stage::set(&[]).await;
    stage.policy(DRY);
    stage.have(&[("r1", Relay, "injection-1"), ("e1", Egress, "r1")]).await;
    stage.record(&action(Kind::Shrink { nodes: names(&["r1"]) }));
    let _scaler = stage.scaler("scaler-1", &[]);
    stage.until("it has ended", || !stage.is_running()).await;
    assert_eq!(stage.machines().await.get("r1"), Some(&true), "{}", stage.history());
    assert_eq!(stage.say("GET parent:r1"), "injection-1");
    assert!(stage.history().contains("has 1 children by now"), "{}", stage.history());
}

/// Somebody has turned to a dry run, or back to asking nobody, since it was proposed.
#[tokio::test]
async fn what_nobody_is_asked_any_more_is_proposed_no_more() {
    let stage = Stage::set(&[]).await;
    stage
        .policy("manual = true\n[pace]\nlook = 0.2\n[limits]\nbaseline = 1\nmaximum = 1\nready-places = 0\n");
    let first = stage.scaler("scaler-1", &[]);
    let proposed = "scaler:proposed:{tree-1}";
    stage.until("something is proposed", || stage.say(&format!("EXISTS {proposed}")) == "1").await;
    drop(first);
    // A dry run obeys nobody's word.
    stage.say(r#"SET scaler:settings:{tree-1} {"dry-run":true}"#);
    for id in stage.say(&format!("HKEYS {proposed}")).split_whitespace() {
        stage.say(&format!("HSET scaler:approvals:{{tree-1}} {id} approved"));
    }
    let scaler = stage.scaler("scaler-2", &[]);
    stage.until("it is withdrawn", || stage.say(&format!("EXISTS {proposed}")) == "0").await;
    assert!(stage.history().contains("nothing is done in a dry run"), "{}", stage.history());
    assert_eq!(stage.say("EXISTS scaler:approvals:{tree-1}"), "0");
    assert!(stage.machines().await.is_empty() && !stage.is_running());
    drop(scaler);
}
