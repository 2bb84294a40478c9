//! RTCP from children goes to whoever passes it up, not to other children; and RTCP goes up from the port that it is
//! expected from.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use node::repair::Turns;
use node::udp;
use tokio::sync::mpsc;

use super::Shared;
use super::listen::{Endpoint, Group, V4, V6};
use super::socket::Received;
use crate::address::unmapped;
use crate::clock::monotonic_ns;

/// Packets that may wait, of all children together; requests are repeated by those who need them.
const WAITING: usize = 1024;
/// Nothing is read beyond so many bytes of a packet, as beside the kernel's data planes.
const LARGEST: usize = 1500;

/// RTCP from a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// RTP port of the pair that it came to.
    pub port: u16,
    /// It came to that very port (RFC 5761), not to the next.
    pub multiplexed: bool,
    /// Who sent it.
    pub from: IpAddr,
    /// From this port.
    pub from_port: u16,
    /// The packet.
    pub packet: Vec<u8>,
}

/// The way in to where packets of children wait for whoever reads them: one who floods takes no place of the others'.
#[derive(Clone)]
pub struct Door {
    to: mpsc::Sender<Heard>,
    turns: Arc<Mutex<Turns>>,
}

impl Door {
    /// With where they come out.
    pub fn new() -> (Door, mpsc::Receiver<Heard>) {
        let (to, out) = mpsc::channel(WAITING);
        (Door { to, turns: Arc::default() }, out)
    }

    /// A packet of that child goes in. Never waits; false: the child has had its turn, or too many wait. `now`: CLOCK_MONOTONIC, ns.
    pub fn takes(&self, from: IpAddr, now: u64, heard: impl FnOnce() -> Heard) -> bool {
        let has_turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner).has(from, now);
        has_turn && self.to.try_send(heard()).is_ok()
    }
}

/// Where feedback goes.
#[derive(Default)]
pub struct Feedback {
    door: OnceLock<Door>,
    /// What nobody had time for.
    unheard: AtomicU64,
}

impl Feedback {
    /// The first call gets what comes.
    pub fn listen(&self) -> Option<mpsc::Receiver<Heard>> {
        let (door, out) = Door::new();
        self.door.set(door).ok().map(|()| out)
    }

    /// Never waits.
    pub fn give(&self, endpoint: &Endpoint, packet: &Received<'_>) {
        if let Some(door) = self.door.get() {
            let from = unmapped(packet.source);
            let (port, multiplexed) = (endpoint.port, !endpoint.rtcp);
            let heard = || {
                let payload = packet.payload[..packet.payload.len().min(LARGEST)].to_vec();
                Heard { port, multiplexed, from, from_port: packet.source_port, packet: payload }
            };
            if !door.takes(from, monotonic_ns(), heard) {
                self.unheard.fetch_add(1, Relaxed);
            }
        }
    }

    /// Packets that nobody had time for.
    pub fn unheard(&self) -> u64 {
        self.unheard.load(Relaxed)
    }
}

/// Sends from a data plane's ports without asking the data plane.
#[derive(Clone)]
pub struct Mouth {
    shared: Arc<Shared>,
    groups: [Arc<Group>; 2],
}

impl Mouth {
    /// With these sockets.
    pub(super) fn new(shared: &Arc<Shared>, groups: &[Arc<Group>; 2]) -> Mouth {
        Mouth { shared: shared.clone(), groups: groups.clone() }
    }

    /// From the RTP port of a pair.
    pub fn send(&self, port: u16, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        send(&self.groups, None, port, true, to, packet)
    }

    /// RTCP from the RTCP port of a pair, or from the RTP port that names it; from the address `own`, if there is such.
    pub fn send_feedback(
        &self,
        own: Option<IpAddr>,
        port: u16,
        multiplexed: bool,
        to: SocketAddr,
        packet: &[u8],
    ) -> io::Result<()> {
        send(&self.groups, own, port, multiplexed, to, packet)
    }

    /// Gaps and RTCP from children that nobody was told of: more came than was taken.
    pub fn untold(&self) -> u64 {
        self.shared.repair.untold() + self.shared.feedback.unheard()
    }
}

/// Sends from the RTCP port of the pair that begins with `port`, or from that port itself; from the address `own`, which the
/// relay is known by, if it has that.
fn send(
    groups: &[Arc<Group>; 2],
    own: Option<IpAddr>,
    port: u16,
    multiplexed: bool,
    to: SocketAddr,
    packet: &[u8],
) -> io::Result<()> {
    let version = if to.is_ipv4() { V4 } else { V6 };
    let endpoints = groups.iter().map(|group| &group.endpoints);
    let sender = endpoints
        .filter_map(|endpoints| {
            let way =
                endpoints.iter().find(|from| from.rtcp != multiplexed && from.port == port)?.ways[version]?;
            endpoints.get(way)
        })
        .next()
        .ok_or_else(|| io::Error::other(format!("no socket on port {port} sends to {to}")))?;
    let to = match (sender.local, to.ip()) {
        (SocketAddr::V6(_), IpAddr::V4(address)) => {
            SocketAddr::new(address.to_ipv6_mapped().into(), to.port())
        }
        _ => to,
    };
    // A socket that listens on one address sends from that.
    let own = own.filter(|_| sender.local.ip().is_unspecified());
    udp::send_from(sender.upward.as_ref().unwrap_or(&sender.socket), own, packet, to).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_floods_takes_no_place_of_the_others() {
        let (door, mut out) = Door::new();
        let from = |last: u8| IpAddr::from([10, 0, 0, last]);
        let comes = |last: u8| {
            let heard = || Heard {
                port: 5004,
                multiplexed: false,
                from: from(last),
                from_port: 5005,
                packet: Vec::new(),
            };
            door.takes(from(last), 0, heard)
        };
        let taken = (0..3 * WAITING).filter(|_| comes(1)).count();
        assert!((1..WAITING / 2).contains(&taken), "{taken}");
        assert!(comes(2), "another has a place");
        let waiting: Vec<IpAddr> =
            std::iter::from_fn(|| out.try_recv().ok()).map(|heard| heard.from).collect();
        assert_eq!((waiting.len(), waiting.last()), (taken + 1, Some(&from(2))));
        // However many there are, they do not take more than there is room for.
        let all = (0..=u8::MAX).flat_map(|last| [last; 8]).filter(|last| comes(*last)).count();
        assert_eq!((all, out.len()), (WAITING, WAITING));
    }
}
