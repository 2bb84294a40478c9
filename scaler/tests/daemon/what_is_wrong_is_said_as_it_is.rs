use node::config::RedisConfig;
use node::secret::Secret;
use scaler::journal::{AboutKey, IF, Journal};

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
    let (code, said) = scaler.coded(&["status"]);
    assert!(
        code == Some(1) && said.contains("NOT HEALTHY") && said.contains("making nodes has failed"),
        "{said}"
    );
    assert!(!said.contains("have just been made"), "{said}");
    assert_eq!(scaler.get("/readyz"), serde_json::Value::Null, "it is ready: `ready` is no JSON");
}

#[tokio::test]
async fn a_command_says_by_its_exit_code_what_is_wrong() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let mut scaler = stage.scaler("scaler-1", &[("TREES", "tree-1,tree-2")]);
    stage.until("it leads", || scaler.tree()["leads"] == true).await;
    // What was asked for is not there, or may be either: those that there are are named.
    for words in [
        &["plan", "--tree", "tree-9"][..],
        &["plan"],
        &["history", "--tree", "tree-9"],
        &["approve", "a1", "--tree", "tree-9"],
        &["approve", "a1"],
    ] {
        let (code, said) = scaler.coded(words);
        assert!(code == Some(64) && said.contains("there are: tree-1, tree-2"), "{words:?}: {code:?} {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let (code, said) = scaler.coded(&["approve", "a1", "--tree", "tree-1"]);
    assert!(code == Some(64) && said.contains("no action a1 waits"), "{code:?} {said}");
    assert_eq!(scaler.coded(&["status"]).0, Some(0));
    scaler.kill();
    let (code, said) = scaler.coded(&["status"]);
    assert!(code == Some(2) && said.contains("does not answer"), "nobody says: {code:?} {said}");
    assert_eq!(scaler.coded(&["plan", "--tree", "tree-1"]).0, Some(1));
}

#[tokio::test]
async fn a_plan_says_what_keeps_it_from_being_done() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let scaler = stage.scaler("scaler-1", &[("PROVISION", "")]);
    stage.until("it leads", || scaler.tree()["leads"] == true).await;
    let (well, said) = scaler.command(&["plan"]);
    assert!(well && said.contains("would do"), "{said}");
    assert!(said.contains("--provision FILE has it act"), "{said}");
    assert!(said.contains("dry-run = false in the file that --policy names"), "{said}");
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
    stage
        .until("its log does", || scaler.log().contains("WARN") && scaler.log().contains("cannot be reached"))
        .await;
    // Whoever asks Redis finds it out by and by; by then the lease has run out.
    let ended = || {
        assert!(problems().len() <= 1, "{:#?}", problems());
        scaler.tree()["leads"] == false
    };
    stage.until("it leads no more", ended).await;
    assert_eq!(problems().len(), 1, "{:#?}", problems());
}

#[tokio::test]
async fn whoever_may_not_read_is_told_only_whether_it_is_ready() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let away = format!("redis://127.0.0.1:{}", super::common::server::free_port());
    let scaler = stage.scaler("scaler-1", &[("REDIS_URL", &away), ("API_TOKEN", "w"), ("READ_TOKEN", "r")]);
    stage.until("it answers", || scaler.get("/readyz")["error"] == "not ready").await;
    let open = stage.scaler("scaler-2", &[("REDIS_URL", &away)]);
    stage
        .until("it says why", || open.get("/readyz")["error"].to_string().contains("cannot be reached"))
        .await;
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

/// What a command is carried out only if is asked for in the same script, by a command of its own.
#[tokio::test]
async fn a_right_that_only_a_condition_needs_is_named() {
    let stage = Stage::set(&[]).await;
    assert_eq!(stage.say("ACL SETUSER limited reset on >x ~* &* +@all -get"), "OK");
    let redis = super::common::config(&stage.redis).redis;
    let fence = Journal::new(&redis, TREE, "me").take(600_000, 1000).await.unwrap().unwrap();
    let limited = RedisConfig { user: Some("limited".to_owned()), password: Some(Secret::new("x")), ..redis };
    let journal = Journal::new(&limited, TREE, "me");
    let key = "parent:e1".to_owned();
    let commands = vec![[IF, &key, "r1", "DEL"].map(str::to_owned).to_vec()];
    let refused = journal.write_topology(fence, &[AboutKey { key, commands }], &[]).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("GET parent:e1") && said.contains("extend its ACL"), "{said}");
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
