use super::*;

fn config(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env: Vec<(String, String)> =
        env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Config::new(Flags::default(), move |name| {
        env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    })
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
