use node::config::File;

use super::*;

fn janus(config: &Config) -> &JanusConfig {
    let ServerConfig::Janus(janus) = &config.server else { panic!("{:?}", config.server) };
    janus
}

const NATIVE: (&str, &str) = ("SERVER", "native");

fn native(env: &[(&str, &str)]) -> (seats::Config, Config) {
    let config = config(&[&[NATIVE], env].concat()).unwrap();
    let ServerConfig::Native(native) = &config.server else { panic!("{:?}", config.server) };
    (native.clone(), config)
}

fn config(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    with(&[], env, "")
}

fn by_file(text: &str) -> Result<Config, ConfigError> {
    with(&[], &[], text)
}

fn with(flags: &[&str], env: &[(&str, &str)], file: &str) -> Result<Config, ConfigError> {
    let find =
        |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let file = File::parse(file, "egress.toml".as_ref())?;
    Config::new(Settings::new(Flags::read(flags)?, &find, file)?)
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
    assert_eq!(
        (config.api.port(), config.media, janus(&config).pool.range()),
        (7074, [5202, 5204], (6200, 6247))
    );
    assert_eq!((&*janus(&config).host, janus(&config).port), ("streaming-2", 8190));
    assert_eq!(config.whep_path, "/play/whep");
    let shown = format!("{config:?}");
    for secret in ["apis", "\"mps", "verysecret"] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[test]
fn bad_settings_are_named_in_one_line() {
    let table: [(&[(&str, &str)], &str); 40] = [
        (&[("RTP_AUDIO_PORT", "0")], "RTP_AUDIO_PORT '0'"),
        (&[("RTP_VIDEO_PORT", "5004x")], "RTP_VIDEO_PORT '5004x'"),
        (&[("RTP_VIDEO_PORT", "5003")], "at least 2 apart"),
        (&[("RTP_VIDEO_PORT", "65535")], "65535"),
        (&[("PORT_POOL_SIZE", "0")], "PORT_POOL_SIZE '0'"),
        (&[("PORT_POOL_SIZE", "many")], "PORT_POOL_SIZE 'many'"),
        (&[("PORT_POOL_BASE", "65000"), ("PORT_POOL_SIZE", "1000")], "65535"),
        (
            &[("PORT_POOL_BASE", "5000")],
            "port 5002 is one of the pool's, 5000 to 5299; set PORT_POOL_BASE to",
        ),
        (&[("RTP_AUDIO_PORT", "6000"), ("RTP_VIDEO_PORT", "6998")], "set port-pool-base to"),
        (&[("JANUS_STREAMING_WS_URL", "http://a:1")], "JANUS_STREAMING_WS_URL 'http://a:1'"),
        (&[("JANUS_STREAMING_WS_URL", "ws://:8188")], "must be ws://HOST:PORT"),
        (
            &[("JANUS_ADMIN_URL", "http://a:7088/admin")],
            "must be ws://HOST:PORT, for instance ws://127.0.0.1:7188",
        ),
        (&[("JANUS_ADMIN_SECRET", "x")], "JANUS_ADMIN_SECRET needs janus-admin-url"),
        (&[("WHEP_BASE_PATH", "whep")], "WHEP_BASE_PATH 'whep'"),
        (&[("WHEP_BASE_PATH", "/")], "must be a path"),
        (&[("WHEP_BASE_PATH", "/mountpoint/x")], "the node's own"),
        (
            &[("WHEP_BASE_PATH", "/events.js")],
            "WHEP_BASE_PATH '/events.js': /events.js is a path of the node's own",
        ),
        (&[("WHEP_TOKEN", "é")], "WHEP_TOKEN has blanks or special characters"),
        (&[("REDIS_URL", "redis://127.0.0.1")], "NODE_HOST"),
        (&[("ADMIN", "7080")], "ADMIN '7080': must be ADDRESS:PORT"),
        (&[("ADMIN", "127.0.0.1:7073")], "is where the API listens"),
        (&[("READ_TOKEN", "x")], "READ_TOKEN would guard what is read"),
        (&[("READ_TOKEN", "a b"), ("API_TOKEN", "x")], "READ_TOKEN has blanks"),
        (&[("JWT_KEYS", "/nowhere/keys")], "JWT_KEYS: /nowhere/keys: "),
        (&[("AUTHORIZE", "ftp://h/")], "AUTHORIZE 'ftp://h/': must be http://"),
        (&[("AUTHORIZE", "http://h/"), ("AUTHORIZE_REMEMBER", "-1")], "AUTHORIZE_REMEMBER '-1'"),
        (&[("WEBHOOK", "http://h/")], "WEBHOOK needs WEBHOOK_SECRET"),
        (&[("WEBHOOK", "http://h/"), ("WEBHOOK_SECRET", "whsec_?")], "WEBHOOK_SECRET: what follows whsec_"),
        (&[("FRAME_ANCESTORS", "'none'; script-src *")], "FRAME_ANCESTORS "),
        (&[("ALLOWED_HOSTS", "https://a.example")], "must be a host name without port"),
        (&[("SERVER", "mediasoup")], "SERVER 'mediasoup': must be janus or native"),
        (&[NATIVE, ("MEDIA_PORT", "0")], "MEDIA_PORT '0': must be a port"),
        (&[NATIVE, ("MEDIA_PORT", "7073")], "port 7073 cannot be both MEDIA_PORT and the API's"),
        (
            &[NATIVE, ("MEDIA_PORT", "5005")],
            "port 5005 cannot be both MEDIA_PORT and one that the tree's media",
        ),
        (&[NATIVE, ("MEDIA_THREADS", "0")], "MEDIA_THREADS '0'"),
        (&[NATIVE, ("MEDIA_THREADS", "10000")], "must be a number from 1 to 1024"),
        (
            &[NATIVE, ("ADVERTISED_ADDRESSES", "10.0.0.1,egress")],
            "ADVERTISED_ADDRESSES 'egress': must be an IPv4",
        ),
        (&[NATIVE, ("MEDIA_HISTORY", "11")], "MEDIA_HISTORY '11': must be seconds, 0.1 to 10"),
        (&[NATIVE, ("MEDIA_HISTORY", "NaN")], "MEDIA_HISTORY 'NaN'"),
        (&[NATIVE, ("KEYFRAME_CACHE", "-1")], "KEYFRAME_CACHE '-1': must be seconds, 0 to 10"),
    ];
    for (env, wanted) in table {
        let error = config(env).unwrap_err().to_string();
        assert!(error.contains(wanted) && !error.contains('\n'), "{env:?}: {error}");
    }
}

#[test]
fn the_pool_is_named_as_it_was_given() {
    let why = with(&["--port-pool-base", "65000"], &[], "port-pool-size = 1000").unwrap_err().0;
    let wanted = "--port-pool-base 65000, port-pool-size in the configuration file 1000: ";
    assert!(why.starts_with(wanted) && why.contains("65535"), "{why}");
}

#[test]
fn a_native_server_needs_no_janus() {
    let (server, config) = native(&[("MEDIA_THREADS", "3")]);
    assert_eq!((server.listen, server.threads.get()), ("0.0.0.0:7075".parse().unwrap(), 3));
    assert_eq!((server.history.as_millis(), server.keyframe_cache.as_millis()), (1000, 2000));
    assert!(server.advertise.is_empty() && config.server.pool().is_none());
    // What the pool would take is free for others.
    let env = [("RTP_AUDIO_PORT", "6002"), ("ADVERTISED_ADDRESSES", "192.0.2.1, 2001:db8::1")];
    let (server, config) = native(&env);
    assert_eq!(server.advertise.len(), 2);
    assert!(config.node.warnings.is_empty(), "{:?}", config.node.warnings);
    let (server, _) = native(&[("NODE_HOST", "2001:db8::7")]);
    assert!(server.listen.is_ipv6());
}

#[test]
fn what_plays_no_part_with_the_other_server_is_said() {
    let (_, with_janus) = native(&[("JANUS_STREAMING_WS_URL", "ws://a:1"), ("PORT_POOL_SIZE", "7")]);
    let warnings = with_janus.node.warnings.join("; ");
    for name in ["JANUS_STREAMING_WS_URL", "PORT_POOL_SIZE"] {
        assert!(warnings.contains(&format!("{name} plays no part with --server native")), "{warnings}");
    }
    let warnings = config(&[("MEDIA_PORT", "7100")]).unwrap().node.warnings.join("; ");
    assert!(warnings.contains("MEDIA_PORT plays no part with --server janus"), "{warnings}");
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "whep-base-path = '/file'\nrtp-audio-port = 6002\nrtp-video-port = 6004\nlog = 'warn'\nport-pool-base = 7000";
    let env = [("WHEP_BASE_PATH", "/env"), ("RTP_AUDIO_PORT", "8002")];
    let config = with(&["--whep-base-path", "/flag"], &env, file).unwrap();
    assert_eq!((&*config.whep_path, config.media, &*config.node.log.filter), ("/flag", [8002, 6004], "warn"));
    assert_eq!(janus(&config).pool.range().0, 7000);
    assert_eq!(with(&[], &env, file).unwrap().whep_path, "/env");
    let why = by_file("janus-url = 'http://a'").unwrap_err().0;
    assert!(
        why.starts_with("janus-url in the configuration file 'http://a': must be ws://HOST:PORT"),
        "{why}"
    );
}

#[test]
fn every_setting_can_be_made_by_every_name_it_has_or_had() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let (secret, ca) = (write("secret", "hunter2"), write("ca", "-----BEGIN CERTIFICATE-----"));
    let keys = write(
        "keys",
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    );
    // So that no warning about the file makes a difference.
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let host = ("NODE_HOST", "10.0.0.1");
    let redis = [("REDIS_HOST", "h"), host];
    let examples: &[node::config::everyway::Example<'_>] = &[
        ("node-id", "e7", &[]),
        ("tree-id", "t7", &[]),
        ("node-host", "10.0.0.5", &[]),
        ("zone", "eu-west-1a", &[]),
        ("public-url", "https://media.example.com/n1", &[]),
        ("redis-url", "redis://h:7000/3", &[host]),
        ("redis-host", "h", &[host]),
        ("redis-port", "7000", &redis),
        ("redis-password-file", &secret, &redis),
        ("redis-ca", &ca, &[("REDIS_URL", "rediss://h"), host]),
        ("topology-grace", "5", &redis),
        ("drain-limit", "30", &[]),
        ("sweep-after", "60", &redis),
        ("api", "127.0.0.1:80", &[]),
        ("api-port", "80", &[]),
        ("api-token-file", &secret, &[]),
        ("read-token-file", &secret, &[("API_TOKEN", "x")]),
        ("allowed-hosts", "media.example.com", &[]),
        ("admin", "127.0.0.1:7080", &[]),
        ("jwt-keys", &keys, &[]),
        ("authorize", "http://127.0.0.1/may", &[]),
        ("authorize-remember", "5", &[("AUTHORIZE", "http://127.0.0.1/")]),
        ("webhook", "http://127.0.0.1/told", &[("WEBHOOK_SECRET", "x")]),
        ("webhook-secret-file", &secret, &[("WEBHOOK", "http://127.0.0.1/")]),
        ("frame-ancestors", "https://www.example.com", &[]),
        ("rtp-audio-port", "5102", &[]),
        ("rtp-video-port", "5104", &[]),
        ("log", "warn", &[]),
        ("log-format", "json", &[]),
        ("server", "native", &[]),
        ("media-port", "7100", &[NATIVE]),
        ("media-threads", "77", &[NATIVE]),
        ("advertised-addresses", "192.0.2.1", &[NATIVE]),
        ("media-history", "0.5", &[NATIVE]),
        ("keyframe-cache", "0", &[NATIVE]),
        ("janus-url", "ws://janus:8188", &[]),
        ("janus-api-secret-file", &secret, &[]),
        ("janus-mountpoint-secret-file", &secret, &[]),
        ("janus-admin-url", "ws://janus:7188", &[]),
        ("janus-admin-secret-file", &secret, &[("JANUS_ADMIN_URL", "ws://janus:7188")]),
        ("whep-base-path", "/out", &[]),
        ("whep-token-file", &secret, &[]),
        ("port-pool-base", "7000", &[]),
        ("port-pool-size", "7", &[]),
        ("sources", "10.0.0.0/8", &[]),
        ("repair-within", "300", &[]),
        ("cut-off-grace", "2.5", &[]),
        ("max-viewers", "7", &[]),
        ("max-joining", "7", &[]),
        ("max-client-joining", "7", &[]),
        ("max-client-joins", "7", &[]),
        ("max-events", "7", &[]),
        ("max-client-events", "7", &[]),
        ("ice-servers", "stun:10.0.0.5", &[]),
        ("turn-username", "u", &[("ICE_SERVERS", "turn:h"), ("TURN_PASSWORD", "p")]),
        ("turn-password-file", &secret, &[("ICE_SERVERS", "turn:h"), ("TURN_USERNAME", "u")]),
        ("turn-secret-file", &secret, &[("ICE_SERVERS", "turn:h")]),
        ("turn-lifetime", "600", &[("ICE_SERVERS", "turn:h"), ("TURN_SECRET", "s")]),
    ];
    let docs = include_str!("../../../docs/settings.md");
    let load = |settings: Settings<'_>| Config::new(settings).map(|config| format!("{config:?}"));
    let faults = node::config::everyway::faults::<EgressSettings>(examples, docs, &load);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_example_is_good_and_so_is_what_it_shows_in_comments() {
    let text = include_str!("../../../deploy/egress.example.toml");
    let plain = by_file(text).unwrap();
    // It says what is so without it.
    let nothing = by_file("").unwrap();
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
    let config = by_file(&all).unwrap();
    let janus = janus(&config);
    for secret in [&janus.api_secret, &janus.mountpoint_secret, &config.whep_token, &config.node.token] {
        assert_eq!(secret.as_ref().unwrap().reveal(), "hunter2");
    }
    let tree = config.node.tree.as_ref().unwrap();
    assert!(tree.redis.tls && tree.redis.password.is_some() && tree.redis.tls_ca.is_some());
}
