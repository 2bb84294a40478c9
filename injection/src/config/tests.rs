use node::config::File;

use super::*;

fn config(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let find =
        |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Config::load(Flags::default(), find)
}

fn by_file(text: &str) -> Result<Config, ConfigError> {
    with(&[], &[], text)
}

fn with(flags: &[&str], env: &[(&str, &str)], file: &str) -> Result<Config, ConfigError> {
    let find =
        |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let file = File::parse(file, "injection.toml".as_ref())?;
    Config::new(Settings::new(Flags::read(flags)?, &find, file)?)
}

#[test]
fn nothing_given_is_something_that_works_on_one_machine() {
    let config = config(&[]).unwrap();
    assert_eq!((&*config.node_id, &*config.whip_path, config.ports), ("injection-1", "/whip", [5002, 5004]));
    assert_eq!((&*config.janus.host, config.janus.port), ("127.0.0.1", 8188));
    assert_eq!(config.api.to_string(), "127.0.0.1:7070");
}

#[test]
fn the_environment_of_the_contract_arrives() {
    let config = config(&[
        ("NODE_ID", "i7"),
        ("API_PORT", "80"),
        ("RTP_AUDIO_PORT", "6002"),
        ("RTP_VIDEO_PORT", "6004"),
        ("JANUS_VIDEOROOM_WS_URL", "ws://[fd00::1]:8188/ws"),
        ("JANUS_VIDEOROOM_API_SECRET", "hunter2"),
        ("JANUS_VIDEOROOM_ROOM_SECRET", "hunter3"),
        ("WHIP_BASE_PATH", "/in/whip/"),
        ("WHIP_TOKEN", "hunter4"),
    ])
    .unwrap();
    assert_eq!((&*config.node_id, config.ports, config.api.port()), ("i7", [6002, 6004], 80));
    assert_eq!((&*config.janus.host, config.janus.port, &*config.whip_path), ("fd00::1", 8188, "/in/whip"));
    assert_eq!(config.whip_token.as_ref().unwrap().reveal(), "hunter4");
    assert!(!format!("{config:?}").contains("hunter"));
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line_that_names_it() {
    let table = [
        ("JANUS_VIDEOROOM_WS_URL", "http://a:8188"),
        ("JANUS_VIDEOROOM_WS_URL", "ws://"),
        ("JANUS_VIDEOROOM_WS_URL", "ws://a:0"),
        ("JANUS_VIDEOROOM_WS_URL", "ws://a:x"),
        ("JANUS_MEDIA_ADDRESS", "here"),
        ("JANUS_MEDIA_ADDRESS", "0.0.0.0"),
        ("JANUS_MEDIA_ADDRESS", "ff02::1"),
        ("WHIP_TOKEN", "é"),
        ("WHIP_BASE_PATH", "whip"),
        ("WHIP_BASE_PATH", "/a/{b}"),
        ("WHIP_BASE_PATH", "/session"),
        ("WHIP_BASE_PATH", "/publish/whip"),
        ("WHIP_BASE_PATH", "/healthz"),
        ("RTP_AUDIO_PORT", "0"),
        ("RTP_VIDEO_PORT", "65535"),
        ("RTP_AUDIO_PORT", "many"),
        ("INJECTION_API", "7070"),
        // The API is there.
        ("RTMP", "7070"),
        ("RTMP", "127.0.0.1:7070"),
        ("TAKEOVER", "sometimes"),
        // Without a token anybody could end every broadcast.
        ("TAKEOVER", "always"),
    ];
    for (name, value) in table {
        let error = config(&[(name, value)]).unwrap_err().0;
        assert!(error.starts_with(name) && !error.contains('\n'), "{name}={value}: {error}");
    }
    let admin = config(&[("ADMIN", "127.0.0.1:7080"), ("RTMP", "7080")]).unwrap_err().0;
    assert!(admin.starts_with("RTMP '7080': operators have 127.0.0.1:7080 (admin)"), "{admin}");
    let close = config(&[("RTP_AUDIO_PORT", "5003")]).unwrap_err().0;
    assert!(close.contains("at least 2 apart"), "{close}");
    let both = config(&[("WHIP_TOKEN", "a"), ("WHIP_TOKEN_FILE", "/b")]).unwrap_err().0;
    assert!(both.contains("both set"), "{both}");
}

#[test]
fn rtmp_is_off_unless_asked_for() {
    assert_eq!(config(&[]).unwrap().rtmp, None);
    let table = [("1935", "0.0.0.0:1935"), ("10.0.0.5:1936", "10.0.0.5:1936"), ("[::]:1935", "[::]:1935")];
    for (text, address) in table {
        let config = config(&[("RTMP_LISTEN", text)]).unwrap();
        assert_eq!(config.rtmp.unwrap().to_string(), address);
        assert!(config.warnings.iter().any(|warning| warning.contains(address)), "open without a token");
    }
    let guarded = config(&[("RTMP_LISTEN", "1935"), ("WHIP_TOKEN", "x")]).unwrap();
    assert_eq!(guarded.warnings, [] as [&str; 0]);
    for text in ["rtmp", "0", "70000", "10.0.0.5", "10.0.0.5:0"] {
        let why = config(&[("RTMP_LISTEN", text)]).unwrap_err().0;
        assert!(why.starts_with(&format!("RTMP_LISTEN '{text}': must be a port")), "{why}");
    }
}

#[test]
fn a_place_is_taken_over_as_configured() {
    assert_eq!(config(&[]).unwrap().takeover, Takeover::Silent);
    let always = config(&[("TAKEOVER", "always"), ("WHIP_TOKEN", "x")]).unwrap();
    assert_eq!(always.takeover, Takeover::Always);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "whip-base-path = '/file'\nrtp-audio-port = 6002\nrtp-video-port = 6004\nlog = 'warn'";
    let env = [("WHIP_BASE_PATH", "/env"), ("RTP_AUDIO_PORT", "7002")];
    let config = with(&["--whip-base-path", "/flag"], &env, file).unwrap();
    assert_eq!((&*config.whip_path, config.ports, &*config.log.filter), ("/flag", [7002, 6004], "warn"));
    assert_eq!(with(&[], &env, file).unwrap().whip_path, "/env");
    let why = by_file("janus-url = 'http://a'").unwrap_err().0;
    assert_eq!(
        why,
        "janus-url in the configuration file 'http://a': must be ws://HOST:PORT, for instance ws://127.0.0.1:8188"
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
    let redis = [("REDIS_HOST", "h")];
    let examples: &[node::config::everyway::Example<'_>] = &[
        ("node-id", "i7", &[]),
        ("tree-id", "t7", &[]),
        ("node-host", "10.0.0.5", &[]),
        ("zone", "eu-west-1a", &[]),
        ("public-url", "https://media.example.com/n1", &[]),
        ("redis-url", "redis://h:7000/3", &[]),
        ("redis-host", "h", &[]),
        ("redis-port", "7000", &redis),
        ("redis-password-file", &secret, &redis),
        ("redis-ca", &ca, &[("REDIS_URL", "rediss://h")]),
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
        ("rtp-audio-port", "6002", &[]),
        ("rtp-video-port", "6004", &[]),
        ("log", "warn", &[]),
        ("log-format", "json", &[]),
        ("janus-url", "ws://janus:8188", &[]),
        ("janus-api-secret-file", &secret, &[]),
        ("janus-room-secret-file", &secret, &[]),
        ("janus-admin-key-file", &secret, &[]),
        ("janus-media-address", "10.0.0.5", &[]),
        ("whip-base-path", "/in", &[]),
        ("whip-token-file", &secret, &[]),
        ("takeover", "never", &[]),
        ("rtmp", "1935", &[]),
        ("history", "0", &[]),
        ("repair-within", "300", &[]),
        ("ice-servers", "stun:10.0.0.5", &[]),
        ("turn-username", "u", &[("ICE_SERVERS", "turn:h"), ("TURN_PASSWORD", "p")]),
        ("turn-password-file", &secret, &[("ICE_SERVERS", "turn:h"), ("TURN_USERNAME", "u")]),
        ("turn-secret-file", &secret, &[("ICE_SERVERS", "turn:h")]),
        ("turn-lifetime", "600", &[("ICE_SERVERS", "turn:h"), ("TURN_SECRET", "s")]),
        ("rtmp-waiting", "9", &[]),
        ("rtmp-waiting-per-address", "3", &[]),
    ];
    let docs = include_str!("../../../docs/settings.md");
    let load = |settings: Settings<'_>| Config::new(settings).map(|config| format!("{config:?}"));
    let faults = node::config::everyway::faults::<InjectionSettings>(examples, docs, &load);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_example_is_good_and_so_is_what_it_shows_in_comments() {
    let text = include_str!("../../../deploy/injection.example.toml");
    let plain = by_file(text).unwrap();
    // It says what is so without it.
    let nothing = by_file("").unwrap();
    assert_eq!(format!("{plain:?}"), format!("{nothing:?}"));
    let secrets = tempfile::tempdir().unwrap();
    let all: String = text
        .lines()
        .map(|line| {
            line.trim_start_matches("#: ").replace("/etc/media-tree", secrets.path().to_str().unwrap()) + "\n"
        })
        .collect();
    for line in all.lines().filter(|line| line.contains("-file = ") || line.contains(".pem")) {
        let content = if line.contains(".pem") { "-----BEGIN CERTIFICATE-----" } else { "hunter2" };
        std::fs::write(line.split('"').nth(1).unwrap(), content).unwrap();
    }
    let config = by_file(&all).unwrap();
    let janus = &config.janus;
    for secret in [&janus.api_secret, &janus.room_secret, &janus.admin_key, &config.whip_token, &config.token]
    {
        assert_eq!(secret.as_ref().unwrap().reveal(), "hunter2");
    }
    assert!(config.rtmp.is_some() && janus.media_address.is_some() && config.host.is_some());
    let tree = config.tree.as_ref().unwrap();
    assert!(tree.redis.tls && tree.redis.password.is_some() && tree.redis.tls_ca.is_some());
}
