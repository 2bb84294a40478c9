use node::record::NodeType::{Egress, Relay};
use scaler::action::Kind;
use scaler::journal::Running;

use super::common::cluster::cli;
use super::stage::*;

#[tokio::test]
async fn settings_that_are_none_leave_a_dry_run_dry() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let scaler = stage.scaler("scaler-1", &[]);
    for said in ["null", "[]", r#"{"limits":[9,90]}"#, r#"{"template":{"warm":4000000000}}"#] {
        stage.say(&format!("SET scaler:settings:{{tree-1}} {said}"));
        let refused = || scaler.tree()["problems"].to_string().contains("is not obeyed");
        stage.until("it is refused", refused).await;
        assert_eq!(scaler.tree()["dryRun"], true);
        stage.say("DEL scaler:settings:{tree-1}");
        stage.until("all is well", || scaler.tree()["problems"].as_array().is_some_and(Vec::is_empty)).await;
    }
    assert!(stage.machines().await.is_empty());
}

#[tokio::test]
async fn an_action_that_cannot_be_one_is_named_and_left() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let mut other = action(slot(true));
    let Kind::Slot { relay, .. } = &mut other.kind else { unreachable!() };
    relay.tree = "tree-2".to_owned();
    stage.record(&other);
    let own = Running { action: action(slot(true)), progress: Default::default() };
    let text = serde_json::to_string(&own).unwrap();
    let running = format!("scaler:running:{{{TREE}}}");
    for (id, text) in [("a2", text.as_str()), ("a\n3", "{}")] {
        assert_eq!(cli(stage.redis.port, &["HSET", &running, id, text]), "1");
    }
    let scaler = stage.scaler("scaler-1", &[]);
    let problems = || scaler.tree()["problems"].as_array().cloned().unwrap_or_default();
    stage.until("all are named", || problems().len() == 3).await;
    let said: Vec<String> =
        problems().iter().map(|problem| problem.as_str().unwrap_or_default().to_owned()).collect();
    let said = said.join("\n");
    for part in ["a1: it makes r1 of another tree, tree-2", "a2: it calls itself a1", r"a\n3: "] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(stage.machines().await.is_empty());
}

#[tokio::test]
async fn what_is_no_text_keeps_nobody_from_the_rest() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    stage.record(&action(slot(true)));
    for hash in ["running", "proposed", "approvals"] {
        let key = format!("scaler:{hash}:{{{TREE}}}");
        let set = "return redis.call('HSET', KEYS[1], 'a\\255', '\\255')";
        assert_eq!(cli(stage.redis.port, &["EVAL", set, "1", &key]), "1");
    }
    let scaler = stage.scaler("scaler-1", &[]);
    stage.until("the action has ended", || stage.history().contains("ended")).await;
    let problems = || scaler.tree()["problems"].to_string();
    stage.until("what is none is named", || problems().contains("proposed action a")).await;
    assert!(stage.machines().await.contains_key("r1"));
}

/// Who is left out of what is read looks as if he were dead.
#[tokio::test]
async fn of_a_tree_that_is_too_large_to_be_read_nobody_is_cleared_away() {
    let stage = Stage::set(&[]).await;
    stage.policy("[pace]\nlook = 0.2\nhealthy-within = 0.5\n[limits]\nbaseline = 1\nmaximum = 1\nready-places = 0\n[template]\nwarm = 0\ncold = 0\n");
    let relays = ["r1", "r2", "r3"].map(|name| (name, Relay, "injection-1"));
    stage.have(&[relays.as_slice(), &[("e1", Egress, "r1")]].concat()).await;
    let crowd = "local text = redis.call('HGET', KEYS[1], 'injection-1') \
        for n = 1, 1100 do redis.call('HSET', KEYS[1], 'a' .. n, text) end return 1";
    assert_eq!(cli(stage.redis.port, &["EVAL", crowd, "1", "directory:tree-1"]), "1");
    let scaler = stage.scaler("scaler-1", &[]);
    let says = || scaler.tree()["problems"].to_string().contains("nodes more than the 1000 that are read");
    stage.until("it says so", says).await;
    assert_eq!(scaler.tree()["decision"]["known"], false);
    assert_eq!(stage.machines().await.get("e1"), Some(&true), "{}", stage.history());
}
