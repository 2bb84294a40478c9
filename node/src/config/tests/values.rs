//! Single values that are checked.

use super::*;

#[test]
fn a_negative_number_is_a_bad_value_and_no_unknown_flag() {
    for flag in ["--topology-grace", "--sweep-after", "--max-bodies"] {
        assert_refused(flag, with(&[flag, "-1"], &[], ""), &[flag, "'-1'", "must be"]);
    }
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
