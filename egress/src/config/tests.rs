use super::*;

fn config(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env: Vec<(String, String)> =
        env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Config::new(
        Flags::default(),
        move |name| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()),
        File::default(),
    )
}

#[test]
fn the_environment_of_the_contract_is_read() {
    let config = config(&[
        ("NODE_ID", "egress-2"),
        ("API_PORT", "7074"),
        ("RTP_AUDIO_PORT", "5202"),
        ("RTP_VIDEO_PORT", "5204"),
        ("JANUS_STREAMING_WS_URL", "ws://streaming-2:8190/janus"),
        ("JANUS_STREAMING_API_SECRET", "apis"),
        ("JANUS_STREAMING_MOUNTPOINT_SECRET", "mps"),
        ("WHEP_BASE_PATH", "/play/whep/"),
        ("WHEP_TOKEN", "verysecret"),
        ("PORT_POOL_BASE", "6200"),
        ("PORT_POOL_SIZE", "16"),
    ])
    .unwrap();
    assert_eq!((config.api.port(), config.media, config.pool.range()), (7074, [5202, 5204], (6200, 6247)));
    assert_eq!(config.janus.address(), ("streaming-2".to_owned(), 8190));
    assert_eq!(config.whep_path, "/play/whep");
    let shown = format!("{config:?}");
    for secret in ["apis", "\"mps", "verysecret"] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[test]
fn bad_settings_are_named_in_one_line() {
    let table: [(&[(&str, &str)], &str); 14] = [
        (&[("RTP_AUDIO_PORT", "0")], "RTP_AUDIO_PORT '0'"),
        (&[("RTP_VIDEO_PORT", "5004x")], "RTP_VIDEO_PORT '5004x'"),
        (&[("RTP_VIDEO_PORT", "5003")], "5002 and 5003"),
        (&[("RTP_VIDEO_PORT", "65535")], "65535"),
        (&[("PORT_POOL_SIZE", "0")], "PORT_POOL_SIZE '0'"),
        (&[("PORT_POOL_SIZE", "many")], "PORT_POOL_SIZE 'many'"),
        (&[("PORT_POOL_BASE", "65000"), ("PORT_POOL_SIZE", "1000")], "65535"),
        (&[("PORT_POOL_BASE", "5000")], "port 5002 is one of the pool's"),
        (&[("JANUS_STREAMING_WS_URL", "http://a:1")], "JANUS_STREAMING_WS_URL 'http://a:1'"),
        (&[("JANUS_STREAMING_WS_URL", "ws://:8188")], "must be ws://HOST:PORT"),
        (&[("WHEP_BASE_PATH", "whep")], "WHEP_BASE_PATH 'whep'"),
        (&[("WHEP_BASE_PATH", "/")], "must be a path"),
        (&[("WHEP_BASE_PATH", "/mountpoint/x")], "the node's own"),
        (&[("REDIS_URL", "redis://127.0.0.1")], "NODE_HOST"),
    ];
    for (env, wanted) in table {
        let error = config(env).unwrap_err().to_string();
        assert!(error.contains(wanted) && !error.contains('\n'), "{env:?}: {error}");
    }
}

#[test]
fn urls_of_websockets() {
    let table = [
        ("ws://127.0.0.1:8188", Some(("127.0.0.1", 8188))),
        ("ws://janus/ws", Some(("janus", 80))),
        ("ws://[fd00::1]:8188", Some(("fd00::1", 8188))),
        ("ws://[fd00::1]", Some(("fd00::1", 80))),
        ("ws://user:pw@janus", None),
        ("wss://janus", None),
        ("ws://janus:99999", None),
        ("", None),
    ];
    for (url, wanted) in table {
        let found = address(url).ok();
        assert_eq!(found, wanted.map(|(host, port)| (host.to_owned(), port)), "{url}");
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = || {
        File::parse(
            "whep-base-path = '/file'\naudio-port = 6002\nvideo-port = 6004\nlog = 'warn'\nport-pool-base = 7000",
        )
    };
    let env = |name: &str| match name {
        "WHEP_BASE_PATH" => Some("/env".to_owned()),
        "RTP_AUDIO_PORT" => Some("8002".to_owned()),
        _ => None,
    };
    let flags = Flags { whep_base_path: Some("/flag".to_owned()), ..Flags::default() };
    let config = Config::new(flags, env, file()).unwrap();
    assert_eq!((&*config.whep_path, config.media, &*config.log), ("/flag", [8002, 6004], "warn"));
    assert_eq!(config.pool.range().0, 7000);
    assert_eq!(Config::new(Flags::default(), env, file()).unwrap().whep_path, "/env");
    let why = Config::new(Flags::default(), |_| None, File::parse("janus = 'http://a'")).unwrap_err().0;
    assert_eq!(why, "janus in the configuration file 'http://a': must be ws://HOST:PORT");
}

#[test]
fn the_example_is_good_and_so_is_what_it_shows_in_comments() {
    let text = include_str!("../../../deploy/egress.example.toml");
    let plain = Config::new(Flags::default(), |_| None, File::parse(text)).unwrap();
    // It says what is so without it.
    let nothing = Config::new(Flags::default(), |_| None, File::default()).unwrap();
    assert_eq!(format!("{plain:?}"), format!("{nothing:?}"));
    let secrets = tempfile::tempdir().unwrap();
    let folder = secrets.path().to_str().unwrap();
    let all: String = text
        .lines()
        .map(|line| line.trim_start_matches("#: ").replace("/etc/media-tree", folder) + "\n")
        .collect();
    for line in all.lines().filter(|line| line.contains("-file = ") || line.contains(".pem")) {
        let content = if line.contains(".pem") { "-----BEGIN CERTIFICATE-----" } else { "hunter2" };
        std::fs::write(line.split('"').nth(1).unwrap(), content).unwrap();
    }
    let config = Config::new(Flags::default(), |_| None, File::parse(&all)).unwrap();
    let janus = &config.janus;
    for secret in [&janus.api_secret, &janus.mountpoint_secret, &config.whep_token, &config.node.token] {
        assert_eq!(secret.as_ref().unwrap().reveal(), "hunter2");
    }
    let tree = config.node.tree.as_ref().unwrap();
    assert!(tree.redis.tls && tree.redis.password.is_some() && tree.redis.tls_ca.is_some());
}
