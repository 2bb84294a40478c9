use super::stage::*;

#[tokio::test]
async fn an_egress_that_never_registers_is_taken_away_and_the_other_serves() {
    let stage = Stage::set(&[("MUTE", "e2")]).await;
    stage.policy("dry-run = true\n[pace]\nhealthy-within = 4.0\n");
    stage.record(&action(grow_cold()));
    let _scaler = stage.scaler("scaler-1", &[]);
    stage.until("it is done", || !stage.is_running()).await;
    assert_eq!(stage.machines().await, ["e1", "r1"].map(|name| (name.to_owned(), true)).into());
    assert_eq!(stage.members("children:r1"), ["e1"]);
    assert!(stage.history().contains("e2 has not registered"), "{}", stage.history());
}

#[tokio::test]
async fn of_a_relay_that_cannot_do_its_job_nothing_is_left() {
    let stage = Stage::set(&[("ILL", "r1")]).await;
    stage.policy("dry-run = true\n[pace]\nhealthy-within = 3.0\n");
    stage.record(&action(grow_cold()));
    let _scaler = stage.scaler("scaler-1", &[]);
    stage.until("it is undone", || !stage.is_running()).await;
    assert!(stage.machines().await.is_empty());
    assert!(stage.members("children:injection-1").is_empty());
    assert_eq!(
        (stage.say("EXISTS parent:r1"), stage.say("EXISTS node:r1")),
        ("0".to_owned(), "0".to_owned())
    );
    assert!(stage.history().contains("undone: r1: cannot do its job"), "{}", stage.history());
}

#[tokio::test]
async fn a_back_end_that_hangs_keeps_nobody_from_leading() {
    let stage = Stage::set(&[]).await;
    let hangs = stage.path("hangs.sh");
    std::fs::write(&hangs, "#!/bin/sh\nsleep 3\nexit 75\n").unwrap();
    let provision =
        format!("backend = 'command'\n[command]\ncommand = ['sh', '{}']\nwithin = 1.0\n", hangs.display());
    std::fs::write(stage.path("hangs.toml"), provision).unwrap();
    let file = stage.path("hangs.toml").display().to_string();
    stage.policy("dry-run = true\n[pace]\nhealthy-within = 2.0\nlook = 0.2\n");
    stage.record(&action(slot(true)));
    let scaler = stage.scaler("scaler-1", &[("PROVISION", &file)]);
    let step = || scaler.tree()["running"][0]["step"].as_str().unwrap_or_default().to_owned();
    stage.until("making is given up", || step().starts_with("take r1 away")).await;
    let fence = stage.say("HGET scaler:leader:{tree-1} fence");
    let looked = scaler.tree()["looked"].as_u64().unwrap();
    stage
        .until("it looks at the tree all the same", || scaler.tree()["looked"].as_u64() > Some(looked + 1000))
        .await;
    assert_eq!(stage.say("HGET scaler:leader:{tree-1} fence"), fence);
    assert!(
        scaler.tree()["problems"][0].as_str().is_some_and(|why| why.contains("the back end")),
        "{}",
        scaler.tree()
    );
    // It answers again: what may have been made is taken away.
    std::fs::write(&hangs, "#!/bin/sh\nif [ \"$1\" = list ]; then echo '{}'; fi\n").unwrap();
    stage.until("it is undone", || !stage.is_running()).await;
    assert!(stage.history().contains("undone: r1"), "{}", stage.history());
}
