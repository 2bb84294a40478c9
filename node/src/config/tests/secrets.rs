//! Passwords and tokens: where they may come from, and that nothing shows them.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

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
