//! `relay-ctl top --json` prints one sample of a running daemon; without `--json`, a missing terminal is one clear error.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// A daemon in userspace mode, killed at the end.
struct Daemon {
    process: Child,
    api: String,
    audio: u16,
}

impl Daemon {
    fn start() -> Daemon {
        let api = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let audio = 20_000 + (std::process::id() % 2_000) as u16 * 4;
        let mut process = Command::new(env!("CARGO_BIN_EXE_relay-ctl"))
            .args(["attach", "lo", "--mode", "userspace", "--api", &api])
            .args([
                "--listen",
                &format!("127.0.0.1:{audio}:{}", audio + 2),
                "--child",
                "egress-1=127.0.0.1:9:19",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready:"), "{line}");
        Daemon { process, api, audio }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn top(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_relay-ctl"))
        .arg("top")
        .args(arguments)
        .args(["--pin-root", "/nonexistent"])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Sends 100 packets a second until told to stop, of which every tenth is left out.
fn send(audio: u16, stop: &AtomicBool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for sequence in (0u16..).take_while(|_| !stop.load(Relaxed)) {
        if sequence % 10 != 5 {
            let packet =
                [&[0x80, 111][..], &sequence.to_be_bytes(), &[0, 0, 0, 0, 0, 0, 0, 7], &[9; 100]].concat();
            socket.send_to(&packet, ("127.0.0.1", audio)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn rates_as_json() {
    let daemon = Daemon::start();
    let stop = Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn({
        let (audio, stop) = (daemon.audio, stop.clone());
        move || send(audio, &stop)
    });
    // The stream has to be there at the first of the two looks.
    std::thread::sleep(Duration::from_millis(300));
    let output = top(&["--json", "--interval", "1", "--api", &daemon.api]);
    stop.store(true, Relaxed);
    sender.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    let picture: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let stream = &picture["streams"][0];
    assert_eq!((&stream["ssrc"], &stream["kind"]), (&7.into(), &"audio".into()), "{picture:#}");
    let packets = stream["rate"]["packets"].as_f64().unwrap();
    assert!((20.0..100.0).contains(&packets), "{packets} packets a second");
    let loss = stream["lossPercent"].as_f64().unwrap();
    assert!((3.0..25.0).contains(&loss), "{loss} percent lost");
    assert_eq!(picture["children"][0]["name"], "egress-1");
    assert!(picture["outgoing"]["packets"].as_f64().unwrap() > 20.0, "{picture:#}");
}

#[test]
fn no_terminal_and_no_json_is_one_error_that_names_it() {
    let output = top(&["--api", "127.0.0.1:1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("--json") && said.contains("terminal"), "{said}");
}

#[test]
fn no_daemon_and_no_maps_is_one_error() {
    let output = top(&["--json", "--api", "127.0.0.1:1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("is it running?") && said.contains("nothing is pinned"), "{said}");
    assert!(output.stdout.is_empty());
}
