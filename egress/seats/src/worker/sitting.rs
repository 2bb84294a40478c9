//! A viewer with its keys and the way to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use node::media::PerKind;

use super::reasons::{self, Reasons};
use super::{Arrival, Shared};
use crate::peer::Seat;
use crate::rtcp;
use crate::send::{Batch, Path};
use crate::server::Figures;
use crate::srtp::{Opener, Rejected, Sealer};
use crate::viewer::{Asks, Moment, Outgoing, Round, Stream, Viewer};

/// Somebody who sits with this worker.
pub struct Sitting {
    viewer: Viewer,
    sealer: Sealer,
    opener: Opener,
    line: Line,
    ssrcs: Vec<u32>,
    /// See [`Arrival::alive`].
    alive: Arc<AtomicBool>,
}

/// Where its packets go.
struct Line {
    seat: Seat,
    path: Path,
}

impl Sitting {
    /// Somebody sits down. An error says why it cannot stay.
    pub fn new(arrival: Arrival, streams: &PerKind<Stream>, at: Moment) -> Result<Sitting, String> {
        let Arrival { seat, mountpoint: _, media, keys, path, alive } = arrival;
        let ssrcs = media.iter().filter_map(|(_, taken)| taken.as_ref()).map(|taken| taken.ssrc).collect();
        let sealer = Sealer::new(&keys).map_err(|error| error.to_string())?;
        let opener = Opener::new(&keys).map_err(|error| error.to_string())?;
        let begin = PerKind::from_fn(|_| rand::random());
        let viewer = Viewer::new(media, streams, at, begin).map_err(|error| error.to_string())?;
        Ok(Sitting { viewer, sealer, opener, line: Line { seat, path }, ssrcs, alive })
    }

    /// It waits for a keyframe that has yet to come.
    pub fn waits(&mut self, streams: &PerKind<Stream>, cache: Duration, now: Duration) -> bool {
        self.viewer.waits(streams, cache, now)
    }

    /// Sends what a round has for it.
    pub fn round(
        &mut self,
        streams: &PerKind<Stream>,
        at: Moment,
        batch: &mut Batch,
        reasons: &Reasons,
    ) -> Round {
        let Sitting { viewer, sealer, line, .. } = self;
        viewer.round(streams, at, &mut |packet| line.send(packet, sealer, batch, reasons))
    }

    /// Opens what it has sent, and does what that says. Gives what it asks for of others.
    pub fn hears(
        &mut self,
        packet: &mut [u8],
        streams: &PerKind<Stream>,
        at: Moment,
        batch: &mut Batch,
        shared: &Shared,
    ) -> Asks {
        let reasons = &shared.reasons;
        let refused = |reason| {
            reasons.count(reason, 1);
            Asks::default()
        };
        // What is RTP and what RTCP on one port: RFC 5761 section 4.
        if !packet.get(1).is_some_and(|second| (192..=223).contains(second)) {
            return refused(reasons::FEEDBACK_RTP);
        }
        let compound = match self.opener.rtcp(packet) {
            Ok(compound) => compound,
            Err(Rejected::Short) => return refused(reasons::FEEDBACK_MALFORMED),
            Err(Rejected::Replayed) => return refused(reasons::FEEDBACK_REPLAYED),
            Err(Rejected::Streams | Rejected::Forged) => return refused(reasons::FEEDBACK_FORGED),
        };
        let Sitting { viewer, sealer, line, alive, .. } = self;
        alive.store(true, Ordering::Relaxed);
        let mut send = |packet: Outgoing<'_>| line.send(packet, sealer, batch, reasons);
        match viewer.hears(compound, streams, at, &mut send) {
            Ok(asks) => {
                reasons.count(reasons::NACK_OVER_BUDGET, asks.over_budget);
                reasons.count(reasons::KEYFRAME_TOO_SOON, asks.too_soon);
                asks
            }
            Err(rtcp::Malformed) => refused(reasons::FEEDBACK_MALFORMED),
        }
    }

    /// Sends reports and second copies, if it is time. Gives whether a keyframe that it asked for is to be asked for now.
    pub fn housekeeping(
        &mut self,
        streams: &PerKind<Stream>,
        at: Moment,
        batch: &mut Batch,
        reasons: &Reasons,
    ) -> bool {
        let Sitting { viewer, sealer, line, .. } = self;
        viewer.once_more(streams, at, &mut |packet| line.send(packet, sealer, batch, reasons));
        viewer.report(streams, at, |packet| line.send_rtcp(packet, sealer, batch, reasons));
        viewer.wants_keyframe(streams, at.now)
    }

    /// Tells it that its streams end.
    pub fn goodbye(&mut self, batch: &mut Batch, reasons: &Reasons) {
        let mut packet = Vec::new();
        rtcp::goodbye(&self.ssrcs, &mut packet);
        self.line.send_rtcp(&packet, &mut self.sealer, batch, reasons);
    }

    /// There is another way to it.
    pub fn moved(&mut self, path: Path) {
        self.line.path = path;
    }

    /// Packets to it did not go out.
    pub fn dropped(&mut self, packets: usize) {
        self.viewer.dropped(packets as u64);
    }

    /// What is known of it.
    pub fn figures(&self) -> (Seat, Figures) {
        (self.line.seat, self.viewer.figures())
    }
}

impl Line {
    fn send(&self, packet: Outgoing<'_>, sealer: &mut Sealer, batch: &mut Batch, reasons: &Reasons) {
        let Outgoing { number, header, payload } = packet;
        let header = header.bytes();
        let length = header.len() + payload.iter().map(|piece| piece.len()).sum::<usize>();
        let sealed = length + sealer.profile().rtp_overhead();
        let pushed =
            batch.push(self.seat, &self.path, sealed, |room| sealer.rtp(number.roc(), header, payload, room));
        if pushed.is_err() {
            reasons.count(reasons::SEAL_FAILED, 1);
        }
    }

    fn send_rtcp(&self, packet: &[u8], sealer: &mut Sealer, batch: &mut Batch, reasons: &Reasons) {
        let sealed = packet.len() + sealer.profile().rtcp_overhead();
        let pushed = batch.push(self.seat, &self.path, sealed, |room| sealer.rtcp(packet, room));
        if pushed.is_err() {
            reasons.count(reasons::SEAL_FAILED, 1);
        }
    }
}
