//! Flags, variables and the file: which of them counts, and what is refused of them.

use super::*;

#[test]
fn nothing_set_is_a_node_without_redis() {
    // Variables that are set to nothing count as not set.
    for variables in [&[][..], &[("REDIS_URL", ""), ("API_TOKEN", ""), ("NODE_ID", ""), ("API_PORT", "")]] {
        let config = by_env(variables).unwrap();
        assert_eq!((config.node_id.as_str(), config.tree_id.as_str()), ("relay-1", "tree-1"));
        assert!(config.tree.is_none() && config.token.is_none() && config.host.is_none());
        assert_eq!((config.api.port(), config.ports, &*config.log.filter), (7071, [5002, 5004], "info"));
        assert_eq!(config.warnings, [] as [&str; 0]);
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file =
        "node-id = 'by-file'\ntree-id = 'by-file'\nredis-url = 'redis://by-file'\ntopology-grace = 3.0";
    let variables = [("NODE_ID", "by-env"), ("REDIS_URL", "redis://by-env"), ("TOPOLOGY_GRACE", "2.5")];
    let by_flag = &["--node-id", "by-flag", "--redis-url", "redis://by-flag", "--topology-grace", "1"][..];
    let table = [
        (by_flag, &variables[..], "by-flag", Duration::from_secs(1)),
        (&[], &variables[..], "by-env", Duration::from_millis(2500)),
        (&[], &[], "by-file", Duration::from_secs(3)),
    ];
    for (flags, variables, wanted, grace) in table {
        let config = with(flags, variables, file).unwrap();
        let tree = config.tree.unwrap();
        assert_eq!((config.node_id.as_str(), config.tree_id.as_str()), (wanted, "by-file"));
        assert_eq!((tree.redis.server, tree.grace), (single(wanted, 6379), grace));
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let url = ("REDIS_URL", "redis://:hunter2@h");
    let file = temporary("hunter3\n");
    let path = file.path().to_str().unwrap();
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let table: [Case; 7] = [
        (&[url, ("REDIS_HOST", "h")], &["REDIS_URL", "REDIS_HOST"]),
        (&[url, ("REDIS_PORT", "6379")], &["REDIS_URL", "REDIS_PORT"]),
        (&[("REDIS_PORT", "6379")], &["REDIS_PORT", "REDIS_HOST"]),
        (&[url, ("REDIS_PASSWORD", "other")], &["REDIS_PASSWORD", "another"]),
        (&[("REDIS_PASSWORD", SECRET), ("REDIS_PASSWORD_FILE", path)], &["REDIS_PASSWORD_FILE", "both"]),
        (&[("API_TOKEN", SECRET), ("API_TOKEN_FILE", path)], &["API_TOKEN_FILE", "both"]),
        (&[url, ("REDIS_CA", path)], &["REDIS_CA", "rediss://"]),
    ];
    for (variables, words) in table {
        assert_refused(&format!("{words:?}"), by_env(variables), words);
    }
    // The same password twice is no contradiction.
    let same = by_env(&[url, ("REDIS_PASSWORD", SECRET)]).unwrap();
    assert_eq!(same.tree.unwrap().redis.password.unwrap().reveal(), SECRET);
}

#[test]
fn a_higher_level_settles_a_contradiction() {
    let server = |config: Result<NodeConfig, String>| config.unwrap().tree.unwrap().redis.server;
    let url = ["--redis-url", "redis://by-url"];
    assert_eq!(server(with(&url, &[("REDIS_HOST", "by-host")], "")), single("by-url", 6379));
    let variables = [("REDIS_URL", "redis://by-url")];
    assert_eq!(server(with(&["--redis-host", "by-host"], &variables, "")), single("by-host", 6379));
    let file = "redis-url = 'redis://by-url'";
    assert_eq!(server(with(&[], &[("REDIS_HOST", "by-host")], file)), single("by-host", 6379));
}

#[test]
fn old_names_go_on_working_unless_they_contradict_the_new_ones() {
    let same = [("LOG", "warn"), ("PLAIN_LOG", "warn")];
    assert_eq!(by_env(&same).unwrap().log.filter, "warn");
    let ports = by_env(&[("PLAIN_LOG", "")]).unwrap().ports;
    assert_eq!(ports, [5002, 5004]);
    assert_refused(
        "variables",
        by_env(&[("LOG", "warn"), ("PLAIN_LOG", "info")]),
        &["LOG and PLAIN_LOG", "differ"],
    );
    let keys = with(&[], &[], "rtp-audio-port = 6002\naudio-port = 7002");
    assert_refused("keys", keys, &["rtp-audio-port in the configuration file and audio-port", "differ"]);
    let flags = with(&["--rtp-audio-port", "6002", "--audio-port", "7002"], &[], "");
    assert!(flags.unwrap_err().contains("--rtp-audio-port"));
    // At different levels they do not.
    assert_eq!(with(&["--log", "warn"], &[("PLAIN_LOG", "info")], "").unwrap().log.filter, "warn");
}

#[test]
fn a_file_is_refused_with_its_line() {
    let table = [
        ("node-id = 'a'\n\nnoed-id = 'b'", "line 3", "'noed-id'"),
        ("config = 'a'", "line 1", "'config'"),
        ("node-id = 'a'\nlog = ['a', 'b']", "line 2", "log is one value"),
        ("log = true", "line 1", "log: must be text"),
        ("node-id = 'a'\nnode-id = 'b'", "line 2", "duplicate"),
        ("node-id =", "line 1", ""),
    ];
    for (text, line, words) in table {
        let file = File::parse(text, "/etc/plain.toml".as_ref());
        let config = file.map_err(|error| error.0).and_then(|file| built(&[], &[], file));
        assert_refused(text, config, &["/etc/plain.toml", line, words]);
    }
}
