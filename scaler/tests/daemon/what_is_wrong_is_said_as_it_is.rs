use super::stage::*;

#[tokio::test]
async fn nodes_that_cannot_be_made_are_a_problem_of_the_tree_that_is_looked_after_all_the_same() {
    let stage = Stage::set(&[]).await;
    let refuses = stage.path("refuses.sh");
    std::fs::write(
        &refuses,
        "#!/bin/sh\ncase \"$1\" in list) echo '{}' ;; make) echo no card >&2; exit 1 ;; destroy) [ -e \"$0.gone\" ] ;; esac\n",
    )
    .unwrap();
    let file = stage.path("refuses.toml");
    let provision =
        format!("backend = 'command'\n[command]\ncommand = ['sh', '{}']\nwithin = 1.0\n", refuses.display());
    std::fs::write(&file, provision).unwrap();
    stage.policy("[pace]\nhealthy-within = 1.0\nlook = 0.2\n[limits]\nbaseline = 1\nmaximum = 2\nready-places = 0\n[template]\ncold = 0\n");
    let scaler = stage.scaler("scaler-1", &[("PROVISION", &file.display().to_string())]);
    let failing =
        || scaler.tree()["failing"].as_str().unwrap_or_default().contains("making nodes has failed");
    let undoes = || scaler.tree()["failing"].as_str().unwrap_or_default().contains("is being undone");
    stage.until("it says that what has failed cannot be undone either", undoes).await;
    std::fs::write(format!("{}.gone", refuses.display()), "").unwrap();
    stage.until("it says that it fails", failing).await;
    let (well, said) = scaler.command(&["status"]);
    assert!(!well && said.contains("NOT HEALTHY") && said.contains("making nodes has failed"), "{said}");
    assert!(!said.contains("have just been made"), "{said}");
    assert_eq!(scaler.get("/readyz"), serde_json::Value::Null, "it is ready: `ready` is no JSON");
}

#[tokio::test]
async fn a_redis_that_is_away_is_said_once() {
    let mut stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let scaler = stage.scaler("scaler-1", &[]);
    stage.until("it leads", || scaler.tree()["leads"] == true).await;
    stage.redis.kill();
    let problems = || scaler.get("/status")["problems"].as_array().cloned().unwrap_or_default();
    stage.until("it says that Redis is away", || !problems().is_empty()).await;
    // Whoever asks Redis finds it out by and by; by then the lease has run out.
    let ended = || {
        assert!(problems().len() <= 1, "{:#?}", problems());
        scaler.tree()["leads"] == false
    };
    stage.until("it leads no more", ended).await;
    assert_eq!(problems().len(), 1, "{:#?}", problems());
}

#[tokio::test]
async fn a_right_that_is_missing_in_redis_is_named() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    for (rights, named) in [
        ("+@all -hgetall", "HGETALL scaler:running:{tree-1}"),
        ("+@all -xadd", "XADD scaler:actions:{tree-1}"),
        (
            "+@all resetkeys ~scaler:leader:* ~scaler:fence:* ~node:* ~nodes:* ~directory:*",
            "HGETALL scaler:running:{tree-1}",
        ),
    ] {
        let set = format!("ACL SETUSER limited reset on >x ~* &* {rights}");
        assert_eq!(stage.say(&set), "OK");
        if named.starts_with("XADD") {
            stage.record(&action(slot(true)));
        }
        let url = format!("redis://limited:x@127.0.0.1:{}", stage.redis.port);
        let scaler = stage.scaler("scaler-1", &[("REDIS_URL", &url)]);
        let said = || format!("{} {}", scaler.get("/status")["problems"], scaler.log());
        let is_named = || said().contains(named) && said().contains("extend its ACL");
        stage.until(named, is_named).await;
        drop(scaler);
    }
}

#[tokio::test]
async fn what_is_no_text_in_redis_is_shown_as_far_as_it_is() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let add = "redis.call('XADD', 'scaler:actions:{tree-1}', '*', 'at', '1', 'fence', '2', 'by', 'scaler-\\255', \
               'action', 'a\\254', 'what', 'step', 'text', 'made \\253', 'odd\\252', '\\251')";
    assert!(cli_eval(&stage, add).is_empty());
    let scaler = stage.scaler("scaler-1", &[]);
    stage.until("it leads", || scaler.tree()["leads"] == true).await;
    let (well, said) = scaler.command(&["history"]);
    assert!(well && said.contains("made \u{fffd}") && said.contains("(scaler-\u{fffd})"), "{said}");
    // Whoever leads by such a name is another.
    drop(scaler);
    let lead = "redis.call('HSET', 'scaler:leader:{tree-1}', 'owner', 'o\\255', 'fence', '9')";
    assert!(cli_eval(&stage, lead).is_empty());
    let scaler = stage.scaler("scaler-2", &[]);
    stage.until("it knows", || scaler.tree()["leader"] == "o\u{fffd}").await;
}

fn cli_eval(stage: &Stage, script: &str) -> String {
    super::common::cluster::cli(stage.redis.port, &["EVAL", script, "0"])
}
