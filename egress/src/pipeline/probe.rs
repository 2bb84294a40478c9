//! Looks at every packet before the demux does: what has no route, or is a stranger's, is counted and dropped; what is for this
//! process itself needs no demux and goes there at once.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gio::prelude::*;
use gst::prelude::*;
use node::media::rtp::{Header, NotRtp};

use super::route::Around;
use super::{Input, Routes, Senders};
use crate::repair::Notices;
use crate::server::Outlet;

/// What came in on a lane. Every packet is in one of these, or in its route's.
#[derive(Debug, Default)]
pub struct Counters {
    /// RTP packets that had a route.
    pub packets: AtomicU64,
    /// Bytes of these.
    pub bytes: AtomicU64,
    /// RTP without a route, and RTCP, from where media is taken from.
    pub beside: AtomicU64,
    /// When one last came that is wanted here: ms since the epoch, and one.
    pub last: AtomicU64,
    /// RTP packets without a route.
    pub unknown: AtomicU64,
    /// RTP packets that had a route and came from elsewhere than media is taken from.
    pub strangers: AtomicU64,
    /// RTP packets that had come already.
    pub repeated: AtomicU64,
    /// Packets under 12 bytes.
    pub short: AtomicU64,
    /// Packets that are no RTP.
    pub not_rtp: AtomicU64,
    /// RTCP on the RTP port.
    pub rtcp: AtomicU64,
}

impl Counters {
    fn count(&self, why: NotRtp) {
        let counter = match why {
            NotRtp::Short => &self.short,
            NotRtp::Version => &self.not_rtp,
            NotRtp::Rtcp => &self.rtcp,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn came(&self, now: Duration) {
        self.last.store(now.as_millis() as u64 + 1, Ordering::Relaxed);
    }

    /// Time since a packet came that is wanted here, whether it has a route or waits for one.
    pub fn age(&self, now: Duration) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_sub(Duration::from_millis(last)))
    }

    /// RTP and RTCP that came from where media is taken from, whatever became of it.
    pub fn taken(&self) -> u64 {
        [&self.packets, &self.beside, &self.repeated]
            .map(|counter| counter.load(Ordering::Relaxed))
            .iter()
            .sum()
    }

    /// What was dropped, by reason.
    pub fn dropped(&self) -> [(&'static str, u64); 6] {
        [
            ("unknown_ssrc", &self.unknown),
            ("stranger", &self.strangers),
            ("duplicate", &self.repeated),
            ("short", &self.short),
            ("not_rtp", &self.not_rtp),
            ("rtcp", &self.rtcp),
        ]
        .map(|(reason, counter)| (reason, counter.load(Ordering::Relaxed)))
    }
}

/// What a probe needs.
pub(super) struct Gate {
    pub input: Input,
    pub senders: Arc<Senders>,
    pub routes: Arc<Routes>,
    pub counters: Arc<Counters>,
    /// Sends dummy packets.
    pub tell: Option<UdpSocket>,
    /// Who is told of what is missing.
    pub notices: Option<Notices>,
}

impl Gate {
    /// Looks at what comes out of a pad from now on.
    pub fn watch(self, pad: &gst::Pad) {
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
            let passes = match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => self.passes(buffer),
                // udpsrc makes no lists; one that came all the same would go past the demux unseen.
                Some(gst::PadProbeData::BufferList(_)) => false,
                _ => true,
            };
            if passes { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Drop }
        });
    }

    /// Whether a packet goes on to the demux.
    fn passes(&self, buffer: &gst::Buffer) -> bool {
        // One block of memory as udpsrc makes it, so nothing is copied.
        let Ok(packet) = buffer.map_readable() else {
            self.counters.count(NotRtp::Short);
            return false;
        };
        let header = match Header::read(&packet) {
            Ok(header) => header,
            Err(why) => {
                self.counters.count(why);
                if why == NotRtp::Rtcp && self.senders.covers(|| source(buffer)) {
                    self.counters.beside.fetch_add(1, Ordering::Relaxed);
                }
                return false;
            }
        };
        let Some(route) = self.routes.get(header.ssrc) else {
            self.counters.unknown.fetch_add(1, Ordering::Relaxed);
            let (awaited, now) = (self.routes.awaits(header.ssrc), self.input.now());
            let is_taken = match awaited {
                true => self.senders.admits(header.ssrc, || source(buffer), now).is_some(),
                false => self.senders.covers(|| source(buffer)),
            };
            if is_taken {
                self.counters.beside.fetch_add(1, Ordering::Relaxed);
            }
            if awaited && is_taken {
                self.counters.came(now);
            }
            return false;
        };
        let now = self.input.now();
        let Some(admitted) = self.senders.admits(header.ssrc, || source(buffer), now) else {
            self.counters.strangers.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        self.counters.came(now);
        let (tell, notices) = (self.tell.as_ref(), self.notices.as_ref());
        let around = Around { port: self.input.port, tell, notices };
        if !route.took(header, &packet, now, admitted, || source(buffer), &around) {
            self.counters.repeated.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.counters.packets.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
        match &route.outlet {
            Outlet::Port(_) => true,
            Outlet::Inlet(inlet) => {
                inlet.push(&packet);
                false
            }
        }
    }
}

/// Who sent a packet.
fn source(buffer: &gst::Buffer) -> Option<SocketAddr> {
    let address = buffer.meta::<gst_net::NetAddressMeta>()?.addr();
    let address = address.downcast::<gio::InetSocketAddress>().ok()?;
    let port = address.port();
    Some(SocketAddr::new(IpAddr::from(address.address()).to_canonical(), port))
}
