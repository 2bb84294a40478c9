//! The path as a whole, over loopback and without root. Senders wait for the receivers, so no buffer overflows.

mod bind;
mod changes;
mod failures;
mod fan_out;
mod lanes;
mod repair;
mod rtcp;
mod sources;
mod statistics;
mod taps;
mod together;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use relay_common::layout::{ChildStats, StreamKey};
use relay_common::reason::Reason;

use super::{Listen, Plan, Target, Userspace, UserspaceError};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// Another host, as far as anybody can tell.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const AUDIO: usize = 0;
const VIDEO: usize = 1;

/// Four ports in a row that nobody else in this process tries; other processes may, so binding may still fail.
fn ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below the ephemeral ports; another start for each process.
    let start = std::process::id().wrapping_mul(124) as u16 % 20_000;
    10_000 + start.wrapping_add(NEXT.fetch_add(4, Relaxed)) % 20_000
}

fn relay(addresses: &[IpAddr]) -> (Userspace, [u16; 2]) {
    loop {
        let first = ports();
        let ports = [first, first + 2];
        match Userspace::bind(&Listen { addresses: addresses.to_vec(), ports }) {
            Ok(relay) => return (relay, ports),
            Err(UserspaceError::InUse(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// A child (audio pair, then video pair) or a sender: sockets on four ports in a row.
struct Node {
    address: IpAddr,
    ports: [u16; 2],
    sockets: [[UdpSocket; 2]; 2],
}

impl Node {
    fn new(address: IpAddr) -> Node {
        loop {
            let first = ports();
            let sockets: Vec<_> = (first..first + 4)
                .map_while(|port| UdpSocket::bind((address, port)).ok())
                .inspect(|socket| socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap())
                .collect();
            if let Ok([a, b, c, d]) = <[UdpSocket; 4]>::try_from(sockets) {
                return Node { address, ports: [first, first + 2], sockets: [[a, b], [c, d]] };
            }
        }
    }

    fn target(&self, counter: u32) -> Target {
        Target { counter, address: self.address, ports: self.ports }
    }

    fn rtp(&self, kind: usize) -> &UdpSocket {
        &self.sockets[kind][0]
    }

    fn rtcp(&self, kind: usize) -> &UdpSocket {
        &self.sockets[kind][1]
    }

    /// Nothing has come to any of the ports, and nothing comes.
    fn is_silent(&self) -> bool {
        std::thread::sleep(Duration::from_millis(50));
        self.sockets.as_flattened().iter().all(|socket| {
            socket.set_nonblocking(true).unwrap();
            let silent = socket.recv(&mut [0; 2048]).is_err();
            socket.set_nonblocking(false).unwrap();
            silent
        })
    }
}

/// A plan in which every child gets everything; counters are 0, 1, 2….
fn everyone(nodes: &[&Node]) -> Plan {
    let children = nodes.iter().zip(0..).map(|(node, counter)| node.target(counter)).collect();
    Plan { children, all: (0..nodes.len()).collect(), ..Plan::default() }
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 111];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 960).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..188).map(|byte| byte ^ sequence as u8));
    packet
}

/// What a sender says: as much of a report as is looked at.
fn rtcp(ssrc: u32) -> Vec<u8> {
    rtcp_of(200, ssrc)
}

/// An RTCP packet of some type.
fn rtcp_of(kind: u8, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, kind, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet
}

fn key(port: u16, ssrc: u32) -> StreamKey {
    StreamKey { port, reserved: [0; 2], ssrc }
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 16_384];
    let (length, from) = socket.recv_from(&mut buffer).expect("a packet in time");
    buffer.truncate(length);
    (buffer, from)
}

fn drops(relay: &Userspace, reason: Reason) -> u64 {
    relay.drops().iter().find(|(other, _)| *other == reason).unwrap().1
}

fn child(relay: &Userspace, counter: u32) -> ChildStats {
    relay.child_stats().into_iter().find(|(other, _)| *other == counter).unwrap().1
}

/// Counters are written after the packets are sent.
fn soon(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(5), "{what} did not come true");
        std::thread::sleep(Duration::from_millis(1));
    }
}
