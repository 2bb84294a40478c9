//! A real relay on loopback in this process, and what sends to it.

use std::io::Write;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use relay_ctl::config::{Config, Flags};
use relay_ctl::metrics;
use relay_ctl::relay::{Relay, StartError};
use relay_ctl::userspace::UserspaceError;

/// A relay in userspace mode with one child, on ports that were free.
pub async fn relay() -> Relay {
    // Below the ephemeral ports; another start for each process.
    let mut audio = 30_000 + (std::process::id() % 500) as u16 * 4;
    loop {
        let listen = format!("127.0.0.1:{audio}:{}", audio + 2);
        let flags = ["--mode", "userspace", "--listen", &listen, "--child", "egress-1=127.0.0.1:9:19"];
        let config = Config::load("lo", Flags::read(&flags).unwrap(), |_| None).unwrap();
        match Relay::start(config).await {
            Err(StartError::Userspace(UserspaceError::InUse(_))) => audio -= 4,
            started => return started.unwrap(),
        }
    }
}

/// One packet of each of these video streams, and one of audio; all of them are counted when this returns.
pub async fn send(relay: &Relay, ssrcs: std::ops::Range<u32>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let [audio, video] = relay.config().listen.ports;
    let wanted = relay.status().await.dataplane.packets + ssrcs.len() as u64 + 1;
    let packet = |ssrc: u32| [&[0x80, 96, 0, 1, 0, 0, 0, 0], &ssrc.to_be_bytes()[..], &[7; 88]].concat();
    socket.send_to(&packet(u32::MAX), ("127.0.0.1", audio)).unwrap();
    for ssrc in ssrcs {
        socket.send_to(&packet(ssrc), ("127.0.0.1", video)).unwrap();
        if ssrc % 50 == 0 {
            // The receive buffer is not endless.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let start = Instant::now();
    while relay.status().await.dataplane.packets < wanted {
        assert!(start.elapsed() < Duration::from_secs(5), "the packets did not arrive");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A scrape.
pub async fn scrape(relay: &Relay) -> String {
    metrics::render(relay).await.unwrap()
}

/// What `promtool check metrics` complains about.
pub fn promtool(text: &str) -> Vec<String> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool does not run ({error}); run `cargo xtask setup`"));
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let lines: Vec<String> = String::from_utf8(said).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(output.status.success(), lines.is_empty(), "promtool: {} {lines:?}", output.status);
    lines
}
