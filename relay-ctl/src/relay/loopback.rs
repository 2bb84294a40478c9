//! A relay on loopback, for tests.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::{Relay, StartError};
use crate::config::{Config, Flags};
use crate::userspace::UserspaceError;

/// With these children, and these flags besides.
pub async fn relay(children: &[&str], more: &[&str]) -> Relay {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below the ephemeral ports; another start for each process.
    let start = 10_000 + (std::process::id() % 500) as u16 * 40;
    loop {
        let audio = start + NEXT.fetch_add(4, Relaxed);
        let listen = format!("127.0.0.1:{audio}:{}", audio + 2);
        let mut flags = vec!["--mode", "userspace", "--listen", &listen];
        flags.extend(children.iter().flat_map(|child| ["--child", *child]));
        flags.extend(more);
        let config = Config::load("lo", Flags::read(&flags).unwrap(), |_| None).unwrap();
        match Relay::start(config).await {
            Err(StartError::Userspace(UserspaceError::InUse(_))) => {}
            started => return started.unwrap(),
        }
    }
}

/// Sends packets of a stream to the audio (0) or video (1) port, and waits until they are counted.
pub async fn send(relay: &Relay, kind: usize, ssrc: u32, sequences: impl IntoIterator<Item = u16>) {
    let before = relay.sample().await.totals[kind].packets;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut count = 0;
    for sequence in sequences {
        let mut packet = vec![0x80, 96];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(ssrc.to_be_bytes());
        packet.extend([7; 88]);
        socket.send_to(&packet, ("127.0.0.1", relay.config.listen.ports[kind])).unwrap();
        count += 1;
    }
    let start = Instant::now();
    while relay.sample().await.totals[kind].packets < before + count {
        assert!(start.elapsed() < Duration::from_secs(5), "the packets did not arrive");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
