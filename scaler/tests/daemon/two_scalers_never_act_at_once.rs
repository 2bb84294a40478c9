use nix::sys::signal::Signal;

use super::stage::*;

#[tokio::test]
async fn who_was_asleep_while_another_took_over_writes_nothing() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let first = stage.scaler("scaler-1", &[]);
    stage.until("the first leads", || first.tree()["leads"] == true).await;
    let second = stage.scaler("scaler-2", &[]);
    let led_by = |scaler: &Scaler| scaler.tree()["leader"].as_str().unwrap_or_default().to_owned();
    stage.until("the second knows that", || led_by(&second).starts_with("scaler-1")).await;
    let (well, text) = second.command(&["status"]);
    assert!(well && text.contains("led by scaler-1"), "{text}");
    let fence = || stage.say("HGET scaler:leader:{tree-1} fence").parse::<u64>().unwrap_or(0);
    let before = fence();

    // As a machine that stands still for a while does, in the middle of whatever it was at.
    first.signal(Signal::SIGSTOP);
    stage.until("the second leads", || second.tree()["leads"] == true).await;
    assert!(fence() > before);
    stage.record(&action(slot(true)));
    first.signal(Signal::SIGCONT);
    stage.until("the first knows", || led_by(&first).starts_with("scaler-2")).await;
    // What was recorded meanwhile is nobody's until somebody begins to lead.
    drop(second);
    stage.until("it is done", || !stage.is_running()).await;
    let history = stage.history();
    assert!(history.contains("attach r1 below injection-1"), "{history}");
    assert!(!history.contains(&before.to_string()), "the first has written with its old fence: {history}");
}

#[tokio::test]
async fn who_is_told_to_end_hands_over_at_once() {
    let stage = Stage::set(&[]).await;
    let lease = [("LEASE", "30")];
    let first = stage.scaler("scaler-1", &lease);
    stage.until("the first leads", || first.tree()["leads"] == true).await;
    first.signal(Signal::SIGTERM);
    stage.until("the lease is given back", || stage.say("EXISTS scaler:leader:{tree-1}") == "0").await;
}
