//! A daemon with a token does what a command says that has it, tells one that has not what to set, and shows the token
//! nowhere.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{Daemon, SECRET, refusal, text};
use nix::sys::signal::Signal;

const TOKEN: (&str, &str) = ("API_TOKEN", SECRET);

#[test]
fn changes_and_captures_need_it_and_looking_does_not() {
    let daemon = Daemon::start(&["--log", "debug"], &[TOKEN]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{SECRET}\n")).unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = file.path().to_str().unwrap();

    let add = ["child", "add", "a=127.0.0.1:20000:20002"];
    let guarded: [&[&str]; 4] = [
        &add,
        &["child", "remove", "a"],
        &["route", "1", "--port", "5004", "--all"],
        &["capture", "--count", "1"],
    ];
    for arguments in guarded {
        let line = refusal(&daemon.command(arguments, &[]), 1);
        assert!(line.contains("API_TOKEN") && line.contains("--api-token-file"), "{line}");
        let line = refusal(&daemon.command(arguments, &[("API_TOKEN", "wrong")]), 1);
        assert!(line.contains("another token"), "{line}");
    }
    for arguments in [&["status"][..], &["children", "--json"], &["streams"]] {
        let output = daemon.command(arguments, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(!text(&output.stdout).contains(SECRET));
    }
    assert!(daemon.get("/children").1.contains(r#""children":[]"#), "nothing was changed without the token");

    let output = daemon.command(&add, &[TOKEN]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(daemon.get("/children").1.contains(r#""name":"a""#));
    let output = daemon.command(&["child", "remove", "a", "--api-token-file", path], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(daemon.get("/children").1.contains(r#""children":[]"#));
    let output = daemon.command(&["capture", "--seconds", "0"], &[("API_TOKEN_FILE", path)]);
    assert!(output.status.success(), "{}", text(&output.stderr));

    for path in ["/status", "/topology", "/metrics"] {
        assert!(!daemon.get(path).1.contains(SECRET), "{path}");
    }
    let (status, log) = daemon.stop(Signal::SIGTERM);
    assert!(status.success() && log.contains("stopping"), "{log}");
    assert!(log.contains("127.0.0.1: POST /children: the token in"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}

/// With a token for reading, commands that look need one, too; who may change may look. Health is for everybody.
#[test]
fn looking_needs_one_where_there_is_one_for_it() {
    let daemon = Daemon::start(&[], &[TOKEN, ("READ_TOKEN", "for-reading")]);
    for arguments in [&["status"][..], &["children", "--json"], &["streams"]] {
        // `status` has words and exit codes of its own for a daemon that does not answer it.
        let refused = daemon.command(arguments, &[]);
        let line = text(&refused.stdout) + &text(&refused.stderr);
        assert!(!refused.status.success() && line.contains("API_TOKEN"), "{arguments:?}: {line}");
        let output = daemon.command(arguments, &[TOKEN]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    for path in ["/status", "/topology", "/metrics", "/children", "/streams"] {
        let (status, body) = daemon.get(path);
        assert!(status == 401 && body.contains("READ_TOKEN"), "{path}: {status} {body}");
    }
    assert_eq!((daemon.get("/healthz").0, daemon.get("/readyz").0), (200, 200));
}

#[test]
fn a_token_file_that_is_not_there_is_bad_configuration() {
    for arguments in [&["attach", "lo"][..], &["status"], &["child", "remove", "a"]] {
        let output = common::run(&[arguments, &["--api-token-file", "/nowhere/token"]].concat(), &[]);
        let line = refusal(&output, 64);
        assert!(line.contains("--api-token-file /nowhere/token"), "{line}");
    }
}
