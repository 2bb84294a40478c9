use super::stage::*;

#[tokio::test]
async fn nothing_is_done_until_somebody_says_so() {
    let stage = Stage::set(&[]).await;
    stage.policy("manual = true\n[pace]\nlook = 0.2\n[limits]\nbaseline = 1\nmaximum = 1\nready-places = 0\n[template]\nwarm = 1\ncold = 0\n");
    let scaler = stage.scaler("scaler-1", &[]);
    let proposed = || scaler.tree()["proposed"].as_array().cloned().unwrap_or_default();
    stage.until("something is proposed", || !proposed().is_empty()).await;
    // It is proposed once, and stays.
    let first = proposed()[0]["id"].as_str().unwrap().to_owned();
    let looks = || stage.say("XLEN scaler:actions:{tree-1}");
    let before = looks();
    let looked = scaler.tree()["looked"].as_u64().unwrap();
    stage
        .until("it has looked some times more", || scaler.tree()["looked"].as_u64() > Some(looked + 600))
        .await;
    assert_eq!(looks(), before, "{}", stage.history());
    assert!(stage.machines().await.is_empty());

    let (well, text) = scaler.command(&["approve", "nothing"]);
    assert!(!well && text.contains(&first), "{text}");
    for proposal in proposed() {
        let id = proposal["id"].as_str().unwrap().to_owned();
        let (well, text) = scaler.command(&["approve", &id]);
        assert!(well, "{text}");
    }
    stage.until("it is done", || stage.history().contains("ended")).await;
    assert!(!stage.machines().await.is_empty());
}

#[tokio::test]
async fn what_is_refused_is_proposed_no_more_under_that_name() {
    let stage = Stage::set(&[]).await;
    stage
        .policy("manual = true\n[pace]\nlook = 0.2\n[limits]\nbaseline = 1\nmaximum = 1\nready-places = 0\n");
    let scaler = stage.scaler("scaler-1", &[]);
    let proposed = || scaler.tree()["proposed"].as_array().cloned().unwrap_or_default();
    stage.until("something is proposed", || !proposed().is_empty()).await;
    let first = proposed()[0]["id"].as_str().unwrap().to_owned();
    let (well, text) = scaler.command(&["approve", &first, "--refuse"]);
    assert!(well && text.contains("is left"), "{text}");
    stage.until("it is gone", || proposed().iter().all(|proposal| proposal["id"] != first.as_str())).await;
    assert!(stage.history().contains("somebody said no"), "{}", stage.history());
}
