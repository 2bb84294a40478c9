use super::stage::*;

#[tokio::test]
async fn an_action_waits_for_redis_and_goes_on() {
    let mut stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    stage.record(&action(grow_cold()));
    // Until it is through with the first steps.
    let mut scaler = stage.scaler("scaler-1", &[]);
    stage.until("it has begun", || stage.history().contains("make and start r1")).await;
    let kept = stage.say("SAVE");
    assert_eq!(kept, "OK");
    stage.redis.kill();
    let says = |scaler: &Scaler| scaler.tree()["problems"].as_array().is_some_and(|all| !all.is_empty());
    stage.until("it says that Redis is away", || says(&scaler)).await;
    assert!(scaler.ended().is_none());
    assert!(scaler.get("/readyz")["error"].is_string(), "{}", scaler.get("/readyz"));
    stage.redis.launch();
    stage.until("it is done", || stage.say("PING") == "PONG" && !stage.is_running()).await;
    assert_eq!(stage.members("children:r1"), ["e1", "e2"]);
    assert_eq!(stage.machines().await.len(), 3);
}

#[tokio::test]
async fn without_prometheus_the_tree_itself_is_decided_by() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\nout-rest = 0.0\n[limits]\nbaseline = 1\nmaximum = 2\nready-places = 0\n");
    // Nobody listens there.
    let away = format!("http://127.0.0.1:{}", super::common::server::free_port());
    let scaler = stage.scaler("scaler-1", &[("PROMETHEUS", &away)]);
    let decision = || scaler.tree()["decision"].clone();
    stage.until("more are wanted", || decision()["verdict"] == "SCALE_OUT").await;
    let warned = || decision()["warnings"].to_string().contains("Prometheus");
    stage.until("it says that figures are missing", warned).await;
    let (well, text) = scaler.command(&["plan"]);
    assert!(well && text.contains("SCALE_OUT") && text.contains("would do"), "{text}");
    assert!(stage.machines().await.is_empty(), "it is a dry run");
}

#[tokio::test]
async fn what_prometheus_says_is_decided_by() {
    let stage = Stage::set(&[]).await;
    stage.policy(
        "dry-run = true\n[pace]\nlook = 0.2\n[limits]\nbaseline = 0\nmaximum = 2\nready-places = 0\n",
    );
    let (port, asked) = answers(200, &nothing());
    let prometheus = format!("http://127.0.0.1:{port}");
    let scaler = stage.scaler("scaler-1", &[("PROMETHEUS", &prometheus)]);
    let request = asked.recv_timeout(LONG).unwrap();
    assert!(request.contains("/api/v1/query") && request.contains("tree-1"), "{request}");
    stage.until("it has decided", || scaler.tree()["decision"].is_object()).await;
}

#[tokio::test]
async fn when_redis_has_lost_its_data_nobody_writes_by_the_old_lease() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let scaler = stage.scaler("scaler-1", &[]);
    stage.until("it leads", || scaler.tree()["leads"] == true).await;
    let fence = || stage.say("HGET scaler:leader:{tree-1} fence");
    let before = fence();
    assert_eq!(stage.say("FLUSHALL"), "OK");
    stage.until("it leads anew", || fence().parse::<u64>().unwrap_or(0) > before.parse().unwrap()).await;
    stage.record(&action(slot(true)));
    // It was recorded by nobody who leads now; whoever leads next goes on with it.
    assert_eq!(stage.say("DEL scaler:leader:{tree-1}"), "1");
    stage.until("it is done", || !stage.is_running()).await;
    assert_eq!(stage.members("children:injection-1"), ["r1"]);
}

#[tokio::test]
async fn a_prometheus_that_never_ends_is_not_listened_to() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let (port, _asked) = answers(200, &serde_json::json!("x".repeat(5 << 20)));
    let scaler = stage.scaler("scaler-1", &[("PROMETHEUS", &format!("http://127.0.0.1:{port}"))]);
    let says = || scaler.tree()["decision"]["warnings"].to_string().contains("longer than 4 MiB");
    stage.until("it says so", says).await;
}
