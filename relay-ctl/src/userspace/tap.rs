//! Copies of what goes in and out, for `relay-ctl capture`. Without a tap this costs one look at an empty list a batch.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use relay_common::layout::StreamKey;

/// Packets that wait for a slow reader before more are left out.
const WAITING: usize = 4096;

/// Which streams a tap wants; `None`: any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapFilter {
    pub ssrc: Option<u32>,
    /// RTP port of the pair, also for RTCP.
    pub port: Option<u16>,
}

/// One packet that came in, or one copy that goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tapped {
    pub time: SystemTime,
    pub outgoing: bool,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub payload: Vec<u8>,
}

struct Tap {
    filter: TapFilter,
    sender: SyncSender<Tapped>,
}

/// Everybody who listens.
#[derive(Default)]
pub struct Taps {
    taps: ArcSwap<Vec<Arc<Tap>>>,
    /// Our address towards a destination, which an unbound socket leaves to the routing table.
    towards: Mutex<HashMap<IpAddr, IpAddr>>,
}

impl Taps {
    pub fn add(&self, filter: TapFilter) -> Receiver<Tapped> {
        let (sender, receiver) = sync_channel(WAITING);
        let tap = Arc::new(Tap { filter, sender });
        self.towards.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.taps.rcu(|taps| {
            let mut taps = Vec::clone(taps);
            taps.push(tap.clone());
            taps
        });
        receiver
    }

    pub fn none(&self) -> bool {
        self.taps.load().is_empty()
    }

    pub fn wanted(&self, key: &StreamKey) -> bool {
        self.taps.load().iter().any(|tap| tap.filter.wants(key))
    }

    /// Gives a packet to those who want it and have room; whoever has gone is forgotten.
    pub fn give(&self, key: &StreamKey, packet: &Tapped) {
        for tap in self.taps.load().iter().filter(|tap| tap.filter.wants(key)) {
            if let Err(TrySendError::Disconnected(_)) = tap.sender.try_send(packet.clone()) {
                self.taps.rcu(|taps| {
                    taps.iter().filter(|other| !Arc::ptr_eq(other, tap)).cloned().collect::<Vec<_>>()
                });
            }
        }
    }

    /// The address that copies to `destination` carry when they leave a socket bound to `local`.
    pub fn source(&self, local: SocketAddr, destination: SocketAddr) -> SocketAddr {
        if !local.ip().is_unspecified() {
            return local;
        }
        let mut towards = self.towards.lock().unwrap_or_else(PoisonError::into_inner);
        let address = towards
            .entry(destination.ip())
            .or_insert_with(|| address_towards(destination).unwrap_or(local.ip()));
        SocketAddr::new(*address, local.port())
    }
}

impl TapFilter {
    fn wants(&self, key: &StreamKey) -> bool {
        self.ssrc.is_none_or(|ssrc| ssrc == key.ssrc) && self.port.is_none_or(|port| port == key.port)
    }
}

/// Asks the routing table; connecting a UDP socket sends nothing.
fn address_towards(destination: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = match destination {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(destination).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
