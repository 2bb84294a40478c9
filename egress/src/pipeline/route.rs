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
use node::prefix::mapped;
use node::repair::StreamId;
use node::sources::{other_way, whom_to_ask};
use relay_common::stream::{Arrival, Elsewhere, Standing, Stream, units_per_ns};

use super::lacks::{Lacks, Taken};
use super::senders::Admitted;
use crate::repair::{Notice, Notices, Seen};
use crate::rtp;
use crate::server::Outlet;

/// How often the sender's address is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What a route needs of the lane that it is one of.
pub(super) struct Around<'a> {
    /// RTP port of the lane.
    pub port: u16,
    /// Sends dummy packets.
    pub tell: Option<&'a UdpSocket>,
    /// Who is told of what is missing.
    pub notices: Option<&'a Notices>,
}

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
    /// What has come, so that of several parents each packet is taken once; its times are ns since the epoch.
    stream: Option<Stream>,
    lacks: Lacks,
    source: Option<SocketAddr>,
    looked: Option<Duration>,
}

impl Route {
    /// To a mountpoint.
    pub fn new(ssrc: Ssrc, outlet: Outlet, codec: Codec) -> Route {
        let continuity = Continuity::new(codec.kind().clock_rate());
        let memory = Memory {
            continuity,
            gaps: Gaps::default(),
            stream: None,
            lacks: Lacks::default(),
            source: None,
            looked: None,
        };
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

    /// Who sends it; of several parents whoever seems to, besides. `now`: since the epoch.
    pub fn sources(&self, now: Duration) -> Vec<SocketAddr> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let several = memory.stream.as_ref().filter(|stream| stream.once != 0);
        match several {
            Some(stream) => whom_to_ask(stream, now.as_nanos() as u64),
            None => memory.source.into_iter().collect(),
        }
    }

    /// The other of two parents who send it. `now`: since the epoch.
    pub fn other_source(&self, now: Duration) -> Option<SocketAddr> {
        other_way(&self.stream()?, now.as_nanos() as u64)
    }

    /// What has come of it, for who looks after a change of parents.
    pub fn stream(&self) -> Option<Stream> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).stream
    }

    /// A packet came. When the stream begins anew, whoever takes it by a port is told first. False: it has come already.
    pub(super) fn took(
        &self,
        header: Header,
        packet: &[u8],
        now: Duration,
        admitted: Admitted,
        source: impl FnOnce() -> Option<SocketAddr>,
        around: &Around<'_>,
    ) -> bool {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = Arrival {
            sequence: header.sequence,
            timestamp: header.timestamp,
            bytes: packet.len().min(usize::from(u16::MAX)) as u16,
            now: now.as_nanos() as u64,
            rate: units_per_ns(self.codec.kind().clock_rate()),
        };
        let before = memory.stream.as_ref().map(|stream| stream.highest);
        if !memory.takes(arrival, admitted) {
            return false;
        }
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
        self.last.store(now.as_millis() as u64 + 1, Ordering::Relaxed);
        let keyframe = matches!(self.codec, Codec::Video(codec) if picture::begins_keyframe(codec, packet));
        if keyframe {
            tracing::trace!("SSRC {}: a keyframe comes", self.ssrc);
            self.keyframe.store(now.as_micros() as u64 + 1, Ordering::Relaxed);
        }
        if let Some(notices) = around.notices {
            let Header { sequence, timestamp, .. } = header;
            let taken = Taken { before, sequence, timestamp, keyframe };
            let stream = StreamId { port: around.port, ssrc: self.ssrc };
            let seen = memory.shows(taken).into_iter().flatten();
            seen.for_each(|seen| notices.give(Notice { stream, at: arrival.now, seen }));
        }
        if memory.looked.is_none_or(|looked| looked + LOOK <= now) {
            memory.looked = Some(now);
            memory.source = source().or(memory.source);
        }
        memory.gaps.took(header.sequence);
        if memory.continuity.begins_anew(header, now) {
            self.republished.fetch_add(1, Ordering::Relaxed);
            if let (Some(socket), Outlet::Port(target)) = (around.tell, &self.outlet) {
                // A packet that cannot be sent is one that got lost; media goes on.
                let _ = socket.send_to(&rtp::dummy(self.codec, Ssrc(!self.ssrc.0)), target);
            }
        }
        true
    }
}

impl Memory {
    /// What a packet shows that was taken.
    fn shows(&mut self, taken: Taken) -> [Option<Seen>; 2] {
        self.stream.as_ref().map_or([None; 2], |stream| self.lacks.took(stream, taken))
    }

    /// Whether a packet is taken: of several parents, and for some seconds after, if it has not come.
    fn takes(&mut self, packet: Arrival, Admitted { from, twice }: Admitted) -> bool {
        let own = self.stream.as_ref().map(|stream| (stream.source, stream.source_port));
        let (address, port) =
            from.map(|from| (mapped(from.ip()), from.port())).or(own).unwrap_or(([0; 16], 0));
        let Some(stream) = &mut self.stream else {
            self.stream = Some(Stream::begin(packet, address, port));
            return true;
        };
        let is_own = stream.is_from(&address, port);
        if is_own && stream.once == 0 || !is_own && !twice {
            // Whoever media is taken from may send it.
            stream.come_from(&address, port);
            if stream.once == 0 {
                return stream.update(packet);
            }
        }
        let standing = if stream.is_from(&address, port) { Standing::Own } else { Standing::Twin };
        let became = stream.take_once(&address, port, packet, standing);
        matches!(became, Elsewhere::Moved | Elsewhere::Taken)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of these (parent, number): which are taken. From the first that comes while there are two parents on.
    fn taken(packets: &[(u8, u16)], between: impl Fn(usize) -> bool) -> Vec<u16> {
        let codec = Codec::Opus;
        let mut memory = Memory {
            continuity: Continuity::new(codec.kind().clock_rate()),
            gaps: Gaps::default(),
            stream: None,
            lacks: Lacks::default(),
            source: None,
            looked: None,
        };
        let take = |(at, (parent, sequence)): (usize, &(u8, u16))| {
            let now = 1_000_000 * at as u64;
            let packet =
                Arrival { sequence: *sequence, timestamp: 0, bytes: 100, now, rate: units_per_ns(48_000) };
            let from = Some(SocketAddr::from(([10, 0, 0, *parent], 5002)));
            memory.takes(packet, Admitted { from, twice: between(at) }).then_some(*sequence)
        };
        packets.iter().enumerate().filter_map(take).collect()
    }

    #[test]
    fn between_two_parents_each_packet_is_taken_once() {
        let packets =
            [(1, 1), (1, 2), (2, 2), (2, 3), (1, 3), (2, 4), (2, 5), (1, 4), (1, 5), (1, 6), (2, 6), (2, 7)];
        assert_eq!(taken(&packets, |_| true), [1, 2, 3, 4, 5, 6, 7]);
        // The former one has gone, and what is left of its way comes by that of the new one.
        assert_eq!(
            taken(&[(1, 1), (1, 2), (2, 1), (1, 3), (2, 2), (2, 3), (2, 4)], |at| at < 4),
            [1, 2, 3, 4]
        );
    }

    #[test]
    fn otherwise_each_is_taken_once_from_wherever_media_may_come() {
        let packets = [(1, 1), (2, 1), (2, 2), (2, 2), (1, 40_000), (1, 40_001)];
        assert_eq!(taken(&packets, |_| false), [1, 2, 40_000, 40_001]);
    }
}
