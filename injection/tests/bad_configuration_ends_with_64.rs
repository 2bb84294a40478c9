//! Bad configuration: exit code 64 and one line that says what to mend, before anything is bound.

use std::process::Command;

#[test]
fn test() {
    type Row = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str);
    let table: [Row; 14] = [
        (&["--janus-url", "http://a"], &[], "--janus-url 'http://a': must be ws://HOST:PORT"),
        (&["--janus", "http://a"], &[], "--janus-url 'http://a': must be ws://HOST:PORT"),
        (&["--log", "chatty"], &[], "--log 'chatty': must be off, error, warn, info, debug or trace"),
        (
            &[],
            &[("LOG", "warn"), ("INJECTION_LOG", "info")],
            "LOG and INJECTION_LOG are the same setting and differ",
        ),
        (&["--frobnicate"], &[], "--frobnicate"),
        (&["--whip-token-file", "/nowhere"], &[], "cannot read --whip-token-file /nowhere"),
        (&[], &[("RTP_AUDIO_PORT", "5003")], "at least 2 apart"),
        (&[], &[("WHIP_BASE_PATH", "whip")], "WHIP_BASE_PATH 'whip'"),
        (&["--rtmp", "rtmp"], &[], "--rtmp 'rtmp': must be a port or ADDRESS:PORT"),
        (&["--config", "/nowhere"], &[], "cannot read --config /nowhere"),
        (&["--log", "injection=loud"], &[], "--log 'injection=loud'"),
        (&["--api", "127.0.0.1:0"], &[], "--api '127.0.0.1:0': must be ADDRESS:PORT"),
        (&["--janus-media-address", "0.0.0.0"], &[], "--janus-media-address '0.0.0.0'"),
        (&["token", "a/b", "--key", "/dev/null"], &[], "/dev/null: it is no JWK"),
    ];
    for (arguments, environment, words) in table {
        let mut command = Command::new(env!("CARGO_BIN_EXE_injection"));
        let output = command.args(arguments).envs(environment.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("injection: ") && said.contains(words), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_key_that_nobody_knows_is_named_with_its_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "node-id = 'a'\nrmtp = 1935\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_injection"));
    let output = command.arg("--config").arg(file.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("line 2") && said.contains("rmtp") && said.lines().count() == 1, "{said}");
}
