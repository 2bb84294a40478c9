//! The program with settings that cannot be: exit code 64 and one line, before anything is bound.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::process::{Command, Output};

/// Arguments, environment, and what the line has to say.
type Row = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str);

fn egress(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_egress"));
    command.env_clear().args(arguments).envs(env.iter().copied());
    command.output().unwrap()
}

#[test]
fn bad_configuration_is_one_line() {
    let table: [Row; 14] = [
        (&["--log", "chatty"], &[], "--log 'chatty': must be off, error, warn, info, debug or trace"),
        (
            &[],
            &[("JANUS_URL", "ws://a"), ("JANUS_STREAMING_WS_URL", "ws://b")],
            "JANUS_URL and JANUS_STREAMING_WS_URL are the same setting and differ",
        ),
        (&["--rtp-audio-port", "5102", "--audio-port", "5202"], &[], "--rtp-audio-port"),
        (&["--port-pool-size", "none"], &[], "--port-pool-size 'none'"),
        (&[], &[("PORT_POOL_BASE", "65535")], "PORT_POOL_BASE 65535"),
        (&[], &[("JANUS_STREAMING_WS_URL", "8188")], "JANUS_STREAMING_WS_URL '8188'"),
        (&["--whep-token-file", "/nonexistent"], &[], "--whep-token-file /nonexistent"),
        (&["--whep-token", "hunter2"], &[], "--whep-token"),
        (&["--redis", "redis://127.0.0.1:1"], &[], "--node-host"),
        (&["--config", "/nonexistent"], &[], "cannot read --config /nonexistent"),
        (&["--log", ""], &[], "--log is empty; give it a value (LEVEL) or leave it out"),
        (&["token", "show", "--key", "/nonexistent"], &[], "cannot read /nonexistent: No such file"),
        (&["token", "show"], &[], "--key"),
        (&["token", "show", "--key", "/etc/hostname", "--lifetime", "0"], &[], "--lifetime"),
    ];
    for (arguments, env, wanted) in table {
        let output = egress(arguments, env);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?} {env:?}: {said}");
        assert!(said.contains(wanted) && said.lines().count() == 1, "{arguments:?} {env:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_key_that_nobody_knows_is_named_with_its_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "node-id = 'a'\nauido-port = 5002\n").unwrap();
    let output = egress(&["--config", file.path().to_str().unwrap()], &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("line 2") && said.contains("auido-port") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_token_is_printed_for_whoever_is_to_watch() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        r#"{"keys":[{"kty":"oct","kid":"a","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#,
    )
    .unwrap();
    let key = file.path().to_str().unwrap();
    let output = egress(&["token", "show", "--key", key, "--lifetime", "60"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    // {"typ":"JWT" …} is in front, and nothing beside it.
    assert!(output.status.success() && text.starts_with("eyJ") && text.lines().count() == 1, "{text}");
    assert_eq!(text.trim_end().split('.').count(), 3);
}

#[test]
fn help_shows_no_secret() {
    let output = egress(&["--help"], &[("WHEP_TOKEN", "hunter2"), ("JANUS_STREAMING_API_SECRET", "hunter2")]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("WHEP_TOKEN") && !text.contains("hunter2"), "{text}");
}
