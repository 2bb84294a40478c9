use std::collections::BTreeMap;
use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt;

use super::*;

/// What no line, warning or debug print may show.
const SECRET: &str = "hunter2";

fn env<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    move |name| variables.get(name).map(|value| (*value).to_owned())
}

/// A kind of node without settings of its own.
#[derive(Clone, Debug)]
struct Plain;

impl Table for Plain {
    const PREFIX: &'static str = "PLAIN";
    const OWN: &'static [&'static Setting] = &[];
}

fn parsed(file: &str) -> File {
    File::parse(file, "/etc/plain.toml".as_ref()).unwrap()
}

fn built(flags: &[&str], variables: &[(&str, &str)], file: File) -> Result<NodeConfig, String> {
    let flags = Flags::<Plain>::read(flags).map_err(|error| error.0)?;
    let env = env(variables);
    let config = Settings::new(flags, &env, file).and_then(|mut settings| {
        NodeConfig::new(
            Defaults { node_id: "relay-1", api_port: 7071, drain_limit: Duration::ZERO },
            &mut settings,
        )
    });
    let config = config.map_err(|error| error.0);
    let shown = format!("{config:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    config
}

fn with(flags: &[&str], variables: &[(&str, &str)], file: &str) -> Result<NodeConfig, String> {
    built(flags, variables, parsed(file))
}

fn by_env(variables: &[(&str, &str)]) -> Result<NodeConfig, String> {
    with(&[], variables, "")
}

/// Refused, in one line that has all of the words.
fn assert_refused(what: &str, config: Result<NodeConfig, String>, words: &[&str]) {
    let error = config.expect_err(what);
    assert!(!error.contains('\n'), "{what}: {error}");
    for word in words {
        assert!(error.contains(word), "{what}: no `{word}` in: {error}");
    }
}

fn redis_of(url: &str) -> RedisConfig {
    by_env(&[("REDIS_URL", url)]).unwrap().tree.expect("Redis is configured").redis
}

fn single(host: &str, port: u16) -> RedisServer {
    RedisServer::Single { host: host.to_owned(), port }
}

fn temporary(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), content).unwrap();
    file
}

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
fn redis_urls() {
    type Wanted<'a> = (RedisServer, Option<&'a str>, Option<&'a str>, i64, bool);
    let sentinel = |sentinels: &[(&str, u16)], master: &str| RedisServer::Sentinel {
        sentinels: sentinels.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect(),
        master: master.to_owned(),
    };
    let cluster = |seeds: &[(&str, u16)]| RedisServer::Cluster {
        seeds: seeds.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect(),
    };
    let table: [(&str, Wanted); 15] = [
        ("redis://h", (single("h", 6379), None, None, 0, false)),
        ("redis://h/", (single("h", 6379), None, None, 0, false)),
        ("redis://h:7000/3", (single("h", 7000), None, None, 3, false)),
        ("rediss://h.example:6380", (single("h.example", 6380), None, None, 0, true)),
        ("redis://[fd00::1]", (single("fd00::1", 6379), None, None, 0, false)),
        ("redis://:hunter2@[fd00::1]:7000/1", (single("fd00::1", 7000), None, Some("hunter2"), 1, false)),
        ("redis://node:hunter2@h", (single("h", 6379), Some("node"), Some("hunter2"), 0, false)),
        ("redis://:p%40ss%2Fw%3Ard@h", (single("h", 6379), None, Some("p@ss/w:rd"), 0, false)),
        // What is not allowed by RFC 3986 and typed all the time.
        ("redis://:p@ss:w#rd?@h", (single("h", 6379), None, Some("p@ss:w#rd?"), 0, false)),
        ("redis://:@h", (single("h", 6379), None, None, 0, false)),
        (
            "redis+sentinel://u:hunter2@s1:26380,s2,[fd00::3]:26381/main/2",
            (
                sentinel(&[("s1", 26380), ("s2", 26379), ("fd00::3", 26381)], "main"),
                Some("u"),
                Some("hunter2"),
                2,
                false,
            ),
        ),
        ("rediss+sentinel://s1/main", (sentinel(&[("s1", 26379)], "main"), None, None, 0, true)),
        ("redis+cluster://c1", (cluster(&[("c1", 6379)]), None, None, 0, false)),
        (
            "redis+cluster://c1:7000,[fd00::1]:7001/",
            (cluster(&[("c1", 7000), ("fd00::1", 7001)]), None, None, 0, false),
        ),
        ("rediss+cluster://u:hunter2@c1/0", (cluster(&[("c1", 6379)]), Some("u"), Some("hunter2"), 0, true)),
    ];
    for (url, (server, user, password, database, tls)) in table {
        let redis = redis_of(url);
        assert_eq!((redis.server, redis.user.as_deref()), (server, user), "{url}");
        assert_eq!(redis.password.as_ref().map(Secret::reveal), password, "{url}");
        assert_eq!((redis.database, redis.tls), (database, tls), "{url}");
    }
}

#[test]
fn a_bad_redis_url_is_refused_and_never_quoted() {
    let table = [
        ("hunter2@h", "not a URL"),
        ("http://:hunter2@h", "scheme"),
        ("hunter2://h", "scheme"),
        ("redis+hunter2://h", "scheme"),
        ("redis+cluster://:hunter2@c1/1", "database"),
        ("redis+cluster://:hunter2@c1,", "no host"),
        ("redis://", "no host"),
        ("redis://:hunter2", "no host"),
        ("redis://u:hunter2", "port"),
        ("redis://u:hunter2@", "no host"),
        ("redis://:hunter2@h:0", "port"),
        ("redis://:hunter2@h:70000", "port"),
        ("redis://:hunter2@h:", "port"),
        ("redis://:hun/ter2@h", "%2F"),
        ("redis://:hunter2@h/hunter2", "database"),
        ("redis://:hunter2@h/-1", "database"),
        ("redis://h/0?password=hunter2", "parameters"),
        ("redis://h?password=hunter2", "parameters"),
        ("redis://fd00::1:6379", "brackets"),
        ("redis://[fd00::1", "]"),
        ("redis://[hunter2]", "IPv6"),
        ("redis://[fd00::1]hunter2", "]"),
        ("redis://h1,h2", "no host"),
        ("redis://:%ff@h", "UTF-8"),
        ("redis://h o", "no host"),
        ("redis+sentinel://h1:26379,h2:26379", "master"),
        ("redis+sentinel://h1,,h2/main", "no host"),
        ("redis+sentinel://h1/main/x", "database"),
        ("redis://node@h", "REDIS_PASSWORD"),
    ];
    for (url, word) in table {
        assert_refused(url, by_env(&[("REDIS_URL", url)]), &[word]);
    }
}

#[test]
fn host_and_port_do_instead_of_a_url() {
    let variables = [("REDIS_HOST", "fd00::1"), ("REDIS_PORT", "7000"), ("REDIS_PASSWORD", SECRET)];
    let redis = by_env(&variables).unwrap().tree.unwrap().redis;
    assert_eq!(redis.server, single("fd00::1", 7000));
    assert_eq!(redis.password.unwrap().reveal(), SECRET);
    let redis = by_env(&[("REDIS_HOST", "h")]).unwrap().tree.unwrap().redis;
    assert_eq!((redis.server, redis.tls, redis.database), (single("h", 6379), false, 0));
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
fn a_password_on_the_command_line_is_refused_with_what_to_do_instead() {
    for url in ["redis://:hunter2@h", "rediss://u:hunter2@h/1", "redis+sentinel://:hunter2@s/main"] {
        let config = with(&["--redis-url", url], &[], "");
        let words = ["--redis-url ", "process list", "REDIS_URL", "REDIS_PASSWORD", "--redis-password-file"];
        assert_refused(url, config, &words);
    }
    // A user is no secret, and the password may come another way.
    let by_flag = ["--redis-url", "redis://u@h"];
    let redis = with(&by_flag, &[("REDIS_PASSWORD", SECRET)], "").unwrap().tree.unwrap().redis;
    assert_eq!((redis.user.as_deref(), redis.password.unwrap().reveal()), (Some("u"), SECRET));
}

#[test]
fn a_password_in_a_file_that_everybody_can_read_is_warned_about() {
    let secret = temporary("hunter2\n");
    for (mode, warnings) in [(0o600, 0), (0o644, 1)] {
        set_permissions(secret.path(), Permissions::from_mode(mode)).unwrap();
        let path = secret.path().to_str().unwrap();
        let by_flag = ["--redis-url", "redis://h", "--redis-password-file", path];
        let config = with(&by_flag, &[], "").unwrap();
        assert_eq!(config.tree.unwrap().redis.password.unwrap().reveal(), SECRET);
        assert_eq!(config.warnings.len(), warnings, "{:?}", config.warnings);
    }
    for (url, open, warnings) in
        [("redis://:hunter2@h", true, 1), ("redis://:hunter2@h", false, 0), ("redis://h", true, 0)]
    {
        let mut file = parsed(&format!("redis-url = '{url}'"));
        file.open_to_all = open.then(|| "/etc/relay.toml".into());
        let config = built(&[], &[], file).unwrap();
        assert_eq!(config.warnings.len(), warnings, "{:?}", config.warnings);
    }
}

#[test]
fn what_needs_redis_and_has_none_is_warned_about() {
    for variable in
        [("REDIS_PASSWORD", SECRET), ("TOPOLOGY_GRACE", "5"), ("SWEEP_AFTER", "60"), ("REDIS_CA", "/ca.pem")]
    {
        let config = by_env(&[variable]).unwrap();
        assert!(config.tree.is_none());
        let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
        assert!(warning.contains(variable.0) && warning.contains("REDIS_URL"), "{warning}");
    }
}

#[test]
fn a_certificate_authority_is_looked_at_before_anything_is_done() {
    let good = temporary("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let other = temporary("-----BEGIN PRIVATE KEY-----\n");
    let ca =
        |path: &std::path::Path| by_env(&[("REDIS_URL", "rediss://h"), ("REDIS_CA", path.to_str().unwrap())]);
    assert_eq!(ca(good.path()).unwrap().tree.unwrap().redis.tls_ca.as_deref(), Some(good.path()));
    assert_refused("no certificate", ca(other.path()), &["REDIS_CA", "PEM"]);
    assert_refused("no file", ca("/nowhere/ca.pem".as_ref()), &["REDIS_CA", "/nowhere/ca.pem"]);
}

#[test]
fn names_hosts_ports_and_times_are_checked() {
    let long = "x".repeat(64);
    let table = [
        ("NODE_ID", "relay 1"),
        ("NODE_ID", "relay\u{7}1"),
        ("NODE_ID", "relay=1"),
        ("NODE_ID", long.as_str()),
        ("TREE_ID", "tree\t1"),
        ("TREE_ID", long.as_str()),
        ("NODE_HOST", "10.0.0.5:5002"),
        ("ZONE", "eu west"),
        ("PUBLIC_URL", "media.example.com"),
        ("PUBLIC_URL", "https:///egress"),
        ("PUBLIC_URL", "https://media.example.com/?a=b"),
        ("PUBLIC_URL", "https://user@media.example.com"),
        ("NODE_HOST", "http://10.0.0.5"),
        ("NODE_HOST", "fd00::5:x"),
        ("NODE_HOST", "0.0.0.0"),
        ("NODE_HOST", "239.1.1.1"),
        ("NODE_HOST", "münchen.example"),
        ("REDIS_HOST", "u:hunter2@h"),
        ("REDIS_HOST", "h:6379"),
        ("API_PORT", "0"),
        ("API_PORT", "127.0.0.1:7071"),
        ("TOPOLOGY_GRACE", "soon"),
        ("DRAIN_LIMIT", "soon"),
        ("TOPOLOGY_GRACE", "-1"),
        ("TOPOLOGY_GRACE", "NaN"),
        ("TOPOLOGY_GRACE", "inf"),
        ("SWEEP_AFTER", "never"),
        ("API_TOKEN", "hunter2 hunter2"),
        ("API_TOKEN", "hunter2\n"),
        ("API_TOKEN", "hunter2ü"),
    ];
    for (variable, value) in table {
        assert_refused(&format!("{variable}={value}"), by_env(&[(variable, value)]), &[variable]);
    }
    assert_refused("port", by_env(&[("REDIS_HOST", "h"), ("REDIS_PORT", "x")]), &["REDIS_PORT 'x'"]);
    assert_refused("a flag that is empty", with(&["--node-id", ""], &[], ""), &["--node-id is empty"]);
    assert_refused("a key", with(&[], &[], "log = ' '"), &["log in the configuration file is empty"]);
    for api in ["127.0.0.1:0", "[::]:0"] {
        assert_refused(api, by_env(&[("API", api)]), &["API '", "ADDRESS:PORT"]);
    }
    let good = [("NODE_ID", &long[1..]), ("NODE_HOST", "[fd00::5]"), ("API_PORT", "7072")];
    let config = by_env(&good).unwrap();
    assert_eq!(
        (config.node_id.len(), config.host.as_deref(), config.api.port()),
        (63, Some("fd00::5"), 7072)
    );
}

#[test]
fn ports_that_are_too_close_are_named_as_they_were_given() {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let table: [Case; 3] = [
        (
            &["--rtp-video-port", "6003"],
            &[("RTP_AUDIO_PORT", "6002")],
            "RTP_AUDIO_PORT 6002 and --rtp-video-port 6003 ",
        ),
        (&[], &[("RTP_VIDEO_PORT", "5003")], "rtp-audio-port 5002 and RTP_VIDEO_PORT 5003 "),
        (&["--audio-port", "5005"], &[], "--rtp-audio-port 5005 and rtp-video-port 5004 "),
    ];
    for (flags, variables, wanted) in table {
        assert_refused(wanted, with(flags, variables, ""), &[wanted, "at least 2 apart"]);
    }
}

#[test]
fn the_token_comes_from_the_environment_or_a_file() {
    let file = temporary("hunter2\n");
    let token = |config: NodeConfig| config.token.unwrap().reveal().to_owned();
    let path = file.path().to_str().unwrap();
    assert_eq!(token(by_env(&[("API_TOKEN", SECRET)]).unwrap()), SECRET);
    assert_eq!(token(by_env(&[("API_TOKEN_FILE", path)]).unwrap()), SECRET);
    let by_flag = ["--api-token-file", path];
    assert_eq!(token(with(&by_flag, &[("API_TOKEN", "other")], "").unwrap()), SECRET);
    let by_file = "api-token-file = '/nowhere'";
    assert_eq!(token(with(&[], &[("API_TOKEN", SECRET)], by_file).unwrap()), SECRET);
    assert_refused(
        "unreadable",
        by_env(&[("API_TOKEN_FILE", "/nowhere/t")]),
        &["API_TOKEN_FILE", "/nowhere/t"],
    );
}

#[test]
fn a_command_takes_its_token_from_where_the_daemon_does() {
    let file = temporary("hunter2\n");
    let of = |variables: &[(&str, &str)], arguments: &[String]| {
        client::<Plain>(arguments, env(variables), 7071).unwrap()
    };
    let token = |config: &ClientConfig| config.token.as_ref().map(|token| token.reveal().to_owned());
    let nothing = of(&[], &[]);
    assert_eq!((token(&nothing), nothing.api.to_string()), (None, "127.0.0.1:7071".to_owned()));
    // What else is set is the daemon's, and no reason to refuse a question.
    let config = of(&[("API_TOKEN", SECRET), ("NODE_ID", "a b"), ("REDIS_URL", "?")], &[]);
    assert_eq!(token(&config).as_deref(), Some(SECRET));
    let path = file.path().to_str().unwrap().to_owned();
    let config = of(&[("API_PORT", "80")], &["--api-token-file".to_owned(), path]);
    assert_eq!((token(&config).as_deref(), config.api.port()), (Some(SECRET), 80));
    assert_eq!(of(&[("PLAIN_API", "10.0.0.5:81")], &[]).api.to_string(), "10.0.0.5:81");
}

#[test]
fn the_api_is_open_to_others_only_with_a_token_unless_asked_for() {
    let token = ("API_TOKEN", SECRET);
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str, &'a str, usize);
    let (port, in_file) = (("API_PORT", "80"), "api = '127.0.0.2:7071'");
    let table: [Case; 13] = [
        (&[], &[], "", "127.0.0.1:7071", 0),
        (&[token], &[], "", "0.0.0.0:7071", 0),
        (&[port], &[], "", "127.0.0.1:80", 0),
        (&[token, port], &[], "", "0.0.0.0:80", 0),
        (&[], &["--api-port", "80"], in_file, "127.0.0.2:80", 0),
        (&[port], &[], in_file, "127.0.0.2:80", 0),
        (&[port], &["--api", "127.0.0.3:81"], in_file, "127.0.0.3:81", 0),
        (&[("API", "127.0.0.4:82")], &[], in_file, "127.0.0.4:82", 0),
        (&[("PLAIN_API", "127.0.0.4:82"), port], &[], "", "127.0.0.4:82", 0),
        (&[], &["--api", "0.0.0.0:7071"], "", "0.0.0.0:7071", 1),
        (&[], &[], "api = '[::]:7071'", "[::]:7071", 1),
        (&[], &["--api", "[::ffff:127.0.0.1]:7071"], "", "[::ffff:127.0.0.1]:7071", 0),
        (&[token], &["--api", "10.0.0.5:7071"], "", "10.0.0.5:7071", 0),
    ];
    for (variables, flags, file, wanted, warnings) in table {
        let config = with(flags, variables, file).unwrap();
        assert_eq!(config.api.to_string(), wanted);
        let open = config.warnings.iter().filter(|warning| warning.contains("API_TOKEN"));
        assert_eq!(open.count(), warnings, "{wanted}: {:?}", config.warnings);
    }
    let idle = by_env(&[("API", "127.0.0.4:82"), port]).unwrap();
    assert!(idle.warnings[0].contains("API_PORT plays no part"), "{:?}", idle.warnings);
}

#[test]
fn no_debug_print_shows_a_secret() {
    let url = "redis://u:hunter2@h";
    let by_flag = Flags::<Plain>::read(&["--redis-url", url]).unwrap();
    let file = parsed(&format!("redis-url = '{url}'"));
    let config = by_env(&[("REDIS_URL", url), ("API_TOKEN", SECRET)]).unwrap();
    let tree = config.tree.clone().unwrap();
    for shown in [format!("{by_flag:?}"), format!("{file:?}")] {
        assert_eq!(shown, "{\"redis-url\"}");
    }
    for shown in [format!("{config:?} {config:#?}"), format!("{tree:?} {:?}", tree.redis)] {
        assert!(shown.contains("(secret)") && !shown.contains(SECRET), "{shown}");
    }
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
fn a_log_level_that_is_none_is_refused_by_name() {
    for (config, name) in [
        (with(&["--log", "chatty"], &[], ""), "--log 'chatty'"),
        (by_env(&[("LOG", "chatty")]), "LOG 'chatty'"),
        (by_env(&[("PLAIN_LOG", "chatty")]), "PLAIN_LOG 'chatty'"),
        (with(&[], &[], "log = 'chatty'"), "log in the configuration file 'chatty'"),
    ] {
        assert_refused(name, config, &[name, "off, error, warn, info, debug or trace"]);
    }
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
