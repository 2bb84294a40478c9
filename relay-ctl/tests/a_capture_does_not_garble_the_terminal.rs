//! `relay-ctl capture` writes pcap to a file or a pipe, never to a terminal.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::process::Stdio;

use common::{relay_ctl, run, text};
use nix::pty::openpty;

#[test]
fn a_terminal_is_refused_with_what_to_do() {
    for arguments in
        [&["capture", "--api", "127.0.0.1:1"][..], &["capture", "-w", "-", "--api", "127.0.0.1:1"]]
    {
        let pty = openpty(None, None).unwrap();
        let mut command = relay_ctl(arguments, &[]);
        let output = command.stdout(Stdio::from(pty.slave)).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        let why = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{why}");
        for part in ["-w FILE", "relay-ctl capture -w - | tcpdump -n -r -"] {
            assert!(why.contains(part), "{why}");
        }
    }
}

#[test]
fn a_pipe_is_not() {
    let why = text(&run(&["capture", "--api", "127.0.0.1:1"], &[]).stderr);
    assert!(why.contains("no relay-ctl answers"), "{why}");
}
