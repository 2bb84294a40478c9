//! Which stream goes where, and what is known of it.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use node::media::continuity::Continuity;
use node::media::gaps::Gaps;
use node::media::rtp::Header;
use node::media::{Codec, Ssrc, picture};

use crate::rtp;
use crate::server::Outlet;

/// How often the sender's address is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// One stream.
#[derive(Debug)]
pub struct Route {
    /// SSRC.
    pub ssrc: Ssrc,
    /// Where it goes.
    pub outlet: Outlet,
    /// What it is coded with.
    pub codec: Codec,
    packets: AtomicU64,
    bytes: AtomicU64,
    /// ms since the epoch, and one.
    last: AtomicU64,
    /// µs since the epoch, and one.
    keyframe: AtomicU64,
    republished: AtomicU64,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    continuity: Continuity,
    gaps: Gaps,
    source: Option<SocketAddr>,
    looked: Option<Duration>,
}

impl Route {
    /// To a mountpoint.
    pub fn new(ssrc: Ssrc, outlet: Outlet, codec: Codec) -> Route {
        let continuity = Continuity::new(codec.kind().clock_rate());
        let memory = Memory { continuity, gaps: Gaps::default(), source: None, looked: None };
        Route {
            ssrc,
            outlet,
            codec,
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            last: AtomicU64::new(0),
            keyframe: AtomicU64::new(0),
            republished: AtomicU64::new(0),
            memory: Mutex::new(memory),
        }
    }

    /// The same stream went another way before: what was counted there goes on here.
    pub(super) fn going_on(self, before: &Route) -> Route {
        let [packets, bytes, republished] = [&before.packets, &before.bytes, &before.republished]
            .map(|counter| counter.load(Ordering::Relaxed).into());
        Route { packets, bytes, republished, ..self }
    }

    /// Packets that came.
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Bytes that came, RTP headers included.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How often it began anew.
    pub fn republished(&self) -> u64 {
        self.republished.load(Ordering::Relaxed)
    }

    /// Packets that did not come.
    pub fn lost(&self) -> u64 {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).gaps.lost()
    }

    /// Time since the last packet.
    pub fn age(&self, now: Duration) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_sub(Duration::from_millis(last)))
    }

    /// When a keyframe began to come last, since the epoch.
    pub fn keyframe(&self) -> Option<Duration> {
        self.keyframe.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    /// Who sends it.
    pub fn source(&self) -> Option<SocketAddr> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).source
    }

    /// A packet came. When the stream begins anew, whoever takes it by a port is told first.
    pub(super) fn took(
        &self,
        header: Header,
        packet: &[u8],
        now: Duration,
        source: impl FnOnce() -> Option<SocketAddr>,
        tell: Option<&UdpSocket>,
    ) {
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
        self.last.store(now.as_millis() as u64 + 1, Ordering::Relaxed);
        if let Codec::Video(codec) = self.codec
            && picture::begins_keyframe(codec, packet)
        {
            tracing::trace!("SSRC {}: a keyframe comes", self.ssrc);
            self.keyframe.store(now.as_micros() as u64 + 1, Ordering::Relaxed);
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.looked.is_none_or(|looked| looked + LOOK <= now) {
            memory.looked = Some(now);
            memory.source = source().or(memory.source);
        }
        memory.gaps.took(header.sequence);
        if memory.continuity.begins_anew(header, now) {
            self.republished.fetch_add(1, Ordering::Relaxed);
            if let (Some(socket), Outlet::Port(target)) = (tell, &self.outlet) {
                // A packet that cannot be sent is one that got lost; media goes on.
                let _ = socket.send_to(&rtp::dummy(self.codec, Ssrc(!self.ssrc.0)), target);
            }
        }
    }
}

/// All routes of a lane. Read for every packet, changed seldom.
#[derive(Debug, Default)]
pub struct Routes {
    open: RwLock<HashMap<Ssrc, Arc<Route>>>,
    /// Streams that have none at present and are waited for.
    awaited: RwLock<HashSet<Ssrc>>,
}

impl Routes {
    /// The route of a stream.
    pub fn get(&self, ssrc: Ssrc) -> Option<Arc<Route>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(&ssrc).cloned()
    }

    /// Whether a stream that has no route is waited for.
    pub fn awaits(&self, ssrc: Ssrc) -> bool {
        self.awaited.read().unwrap_or_else(PoisonError::into_inner).contains(&ssrc)
    }

    /// All.
    pub fn all(&self) -> Vec<Arc<Route>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn insert(&self, route: Arc<Route>) {
        self.wait_for(route.ssrc, false);
        self.open.write().unwrap_or_else(PoisonError::into_inner).insert(route.ssrc, route);
    }

    pub(super) fn wait_for(&self, ssrc: Ssrc, waits: bool) {
        let mut awaited = self.awaited.write().unwrap_or_else(PoisonError::into_inner);
        if waits {
            awaited.insert(ssrc);
        } else {
            awaited.remove(&ssrc);
        }
    }

    pub(super) fn remove(&self, ssrc: Ssrc) -> Option<Arc<Route>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&ssrc)
    }
}
