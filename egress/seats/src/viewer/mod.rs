//! One viewer: a stream's packets become its own. Pure: the time goes in, and what is to be sent comes out.
//!
//! [`Track`] has its numbers of one stream, [`header`] writes them, [`Budget`] says how much is sent again, and [`Twice`] what of
//! that twice.

pub mod budget;
pub mod header;
pub mod track;
pub mod twice;

#[cfg(test)]
mod tests;

use std::time::Duration;

use node::media::{Kind, PerKind};

use crate::pace;
use crate::peer::Taken;
use crate::rtcp::{self, Malformed, Ntp, Report, Said, SenderReport, Sequences};
use crate::server::Figures;
use crate::stream::{History, Packet};
use budget::Budget;
use header::Header;
use track::{Number, Stamp, Track};
use twice::Twice;

/// The canonical name of all that we send (RFC 3550 section 6.5.1): sound and picture of one mountpoint belong together.
pub const CNAME: &str = "media-tree";
/// From one sender report to the next.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// The first comes sooner: until then a player cannot bring sound and picture together.
const FIRST_REPORT: Duration = Duration::from_millis(200);

/// Now, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Since the server's beginning.
    pub now: Duration,
    /// The wall clock.
    pub ntp: Ntp,
}

/// A stream as a round has it.
#[derive(Debug)]
pub struct Stream {
    /// What there is.
    pub history: History,
    /// What has come late since the last round, by index.
    pub late: Vec<u64>,
}

/// An RTP packet to seal and send.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Which it is.
    pub number: Number,
    /// Its header.
    pub header: &'a Header,
    /// What follows it, in pieces.
    pub payload: &'a [&'a [u8]],
}

/// Somebody who watches.
#[derive(Debug)]
pub struct Viewer {
    tracks: PerKind<Option<Track>>,
    stamp: Stamp,
    budget: Budget,
    twice: Twice,
    keyframes: Budget,
    /// When it asked for a keyframe that was not asked for on its behalf yet.
    keyframe_wanted: Option<Duration>,
    report_at: Duration,
    figures: Figures,
    lost: PerKind<i32>,
    /// It has been sent something of what it came for.
    shown: bool,
}

/// What a round has left over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// There is more to send.
    pub more: bool,
    /// Packets that were not there any more when it was their turn: we are too slow.
    pub missed: u64,
    /// The picture has begun, or the sound where there is no picture.
    pub shows: bool,
}

/// What a viewer's RTCP asks of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// A keyframe.
    pub keyframe: bool,
    /// Keyframes beyond its budget.
    pub too_soon: u64,
    /// Retransmissions beyond its budget.
    pub over_budget: u64,
}

/// Two streams have the same SSRC: sealing them would give the keys away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two of its streams have the same SSRC")]
pub struct SameSsrc;

impl Viewer {
    /// Somebody comes. `begin`: any numbers, for each stream's first packet and first retransmission.
    pub fn new(
        media: PerKind<Option<Taken>>,
        streams: &PerKind<Stream>,
        at: Moment,
        begin: PerKind<[u16; 2]>,
    ) -> Result<Viewer, SameSsrc> {
        let mut ssrcs: Vec<u32> = Vec::with_capacity(4);
        for taken in media.iter().filter_map(|(_, taken)| taken.as_ref()) {
            ssrcs.push(taken.ssrc);
            ssrcs.extend(taken.rtx.map(|_| taken.rtx_ssrc));
        }
        let many = ssrcs.len();
        ssrcs.sort_unstable();
        ssrcs.dedup();
        if ssrcs.len() < many {
            return Err(SameSsrc);
        }
        let PerKind { audio, video } = media;
        let track = |kind: Kind, taken: Option<Taken>| {
            taken.map(|taken| Track::new(kind, taken, &streams[kind].history, at.now, begin[kind]))
        };
        Ok(Viewer {
            tracks: PerKind { audio: track(Kind::Audio, audio), video: track(Kind::Video, video) },
            stamp: Stamp::default(),
            budget: Budget::again(at.now),
            twice: Twice::default(),
            keyframes: Budget::keyframes(at.now),
            keyframe_wanted: None,
            report_at: at.now + FIRST_REPORT,
            figures: Figures::default(),
            lost: PerKind::default(),
            shown: false,
        })
    }

    /// It waits for a keyframe that has yet to come. Looks whether one of less than `cache` before it is there.
    pub fn waits(&mut self, streams: &PerKind<Stream>, cache: Duration, now: Duration) -> bool {
        self.tracks.video.as_mut().is_some_and(|track| track.waits(&streams.video.history, cache, now))
    }

    /// Sends what this round has for it: all that came late, and its share of what is next.
    pub fn round(
        &mut self,
        streams: &PerKind<Stream>,
        at: Moment,
        send: &mut impl FnMut(Outgoing<'_>),
    ) -> Round {
        self.stamp.time = (at.ntp.0 >> 14) as u32 & 0xff_ffff;
        let mut round = Round::default();
        for kind in Kind::BOTH {
            let Some(track) = &mut self.tracks[kind] else { continue };
            let Stream { history, late } = &streams[kind];
            let mut out = |track: &Track, packet: &Packet, number: Number| {
                self.twice.sent();
                let header = track.header(packet, number, &mut self.stamp);
                count(&mut self.figures, &header, &[&packet.payload]);
                send(Outgoing { number, header: &header, payload: &[&packet.payload] });
            };
            for packet in late.iter().filter_map(|index| history.get(*index)) {
                if let Some(number) = track.late(packet) {
                    out(track, packet, number);
                }
            }
            round.missed += track.catch_up(history);
            for _ in 0..pace::share(track.behind(history)) {
                let Some((packet, number)) = track.next(history) else { break };
                out(track, packet, number);
            }
            round.more |= track.behind(history) > 0;
        }
        if !self.shown {
            let what_it_came_for = self.tracks.video.as_ref().or(self.tracks.audio.as_ref());
            self.shown = what_it_came_for.is_some_and(Track::has_begun);
            round.shows = self.shown;
        }
        round
    }

    /// Takes in what it says, and sends again what it lacks.
    pub fn hears(
        &mut self,
        compound: &[u8],
        streams: &PerKind<Stream>,
        at: Moment,
        send: &mut impl FnMut(Outgoing<'_>),
    ) -> Result<Asks, Malformed> {
        let mut asks = Asks::default();
        self.stamp.time = (at.ntp.0 >> 14) as u32 & 0xff_ffff;
        rtcp::read(compound, |said| match said {
            Said::Report(report) => self.reported(&report, at),
            Said::Lacks { ssrc, sequences } => {
                if let Some(kind) = self.kind_of(ssrc) {
                    asks.over_budget += self.again(kind, sequences, &streams[kind].history, at, send);
                }
            }
            Said::KeyframeWanted { ssrc } => {
                let may = self.kind_of(ssrc) == Some(Kind::Video)
                    && self.tracks.video.as_ref().is_some_and(|track| track.taken().pli);
                // Twice in one packet is once.
                if may && !asks.keyframe {
                    match self.keyframes.take(at.now) {
                        true => (asks.keyframe, self.keyframe_wanted) = (true, None),
                        false => {
                            asks.too_soon += 1;
                            self.keyframe_wanted = Some(at.now);
                        }
                    }
                }
            }
            Said::Estimate(bits) => self.figures.estimate = Some(bits),
            // Arrivals of single packets are of use to who sends more or less as it likes, and BYE is said of what it
            // sends: nothing.
            Said::Arrivals(_) | Said::Leaves => {}
        })?;
        Ok(asks)
    }

    /// Gives `send` a sender report for each of its streams, if it is time.
    pub fn report(&mut self, streams: &PerKind<Stream>, at: Moment, send: impl FnMut(&[u8])) {
        if at.now < self.report_at {
            return;
        }
        self.report_at = at.now + REPORT_EVERY;
        let mut send = send;
        let mut packet = Vec::with_capacity(64);
        for track in
            self.tracks.iter().filter_map(|(_, track)| track.as_ref()).filter(|track| track.has_begun())
        {
            let Some(newest) = streams[track.kind()].history.newest() else { continue };
            let since = at.now.saturating_sub(newest.live).as_secs_f64();
            let ticks = (since * f64::from(track.kind().clock_rate())) as u64 as u32;
            let (packets, bytes) = track.sent();
            let timestamp = newest.timestamp.wrapping_add(ticks);
            packet.clear();
            SenderReport { ssrc: track.taken().ssrc, ntp: at.ntp, timestamp, packets, bytes }
                .write(CNAME, &mut packet);
            send(&packet);
        }
    }

    /// When it is to be [reported](Self::report) to.
    pub fn report_at(&self) -> Duration {
        self.report_at
    }

    /// Packets of this viewer did not go out.
    pub fn dropped(&mut self, packets: u64) {
        self.figures.dropped += packets;
    }

    /// What is known of it.
    pub fn figures(&self) -> Figures {
        let missed =
            self.tracks.iter().filter_map(|(_, track)| track.as_ref()).map(Track::missed).sum::<u64>();
        let lost = self.lost.iter().map(|(_, lost)| u64::try_from(*lost).unwrap_or(0)).sum();
        Figures { dropped: self.figures.dropped + missed, lost, ..self.figures.clone() }
    }

    fn kind_of(&self, ssrc: u32) -> Option<Kind> {
        let is = |kind: &Kind| self.tracks[*kind].as_ref().is_some_and(|track| track.taken().ssrc == ssrc);
        Kind::BOTH.into_iter().find(is)
    }

    fn reported(&mut self, report: &Report, at: Moment) {
        let Some(kind) = self.kind_of(report.ssrc) else { return };
        self.lost[kind] = report.lost;
        self.figures.rtt = report.round_trip(at.ntp).or(self.figures.rtt);
        if kind == Kind::Video {
            let jitter = f64::from(report.jitter) / f64::from(kind.clock_rate());
            self.figures.jitter = Some(Duration::from_secs_f64(jitter));
        }
    }

    /// It asked for a keyframe too soon after others, none has come since, and now it is time.
    pub fn wants_keyframe(&mut self, streams: &PerKind<Stream>, now: Duration) -> bool {
        let Some(since) = self.keyframe_wanted else { return false };
        let came = streams.video.history.keyframe().is_some_and(|keyframe| keyframe.arrived > since);
        let wants = !came && self.keyframes.take(now);
        if came || wants {
            self.keyframe_wanted = None;
        }
        wants
    }

    /// Sends second copies of what it lacked, if it is time.
    pub fn once_more(&mut self, streams: &PerKind<Stream>, at: Moment, send: &mut impl FnMut(Outgoing<'_>)) {
        self.stamp.time = (at.ntp.0 >> 14) as u32 & 0xff_ffff;
        while let Some((kind, sequence)) = self.twice.next(at.now) {
            let history = &streams[kind].history;
            let had = self.tracks[kind].as_ref().and_then(|track| track.had(sequence));
            if let Some((packet, number)) =
                had.and_then(|(index, number)| Some((history.get(index)?, number)))
                && self.budget.take(at.now)
            {
                self.send_again(kind, packet, number, send);
            }
        }
    }

    /// Sends again what it lacks; gives how much of that is over its budget.
    fn again(
        &mut self,
        kind: Kind,
        sequences: Sequences<'_>,
        history: &History,
        at: Moment,
        send: &mut impl FnMut(Outgoing<'_>),
    ) -> u64 {
        let mut over_budget = 0;
        for sequence in sequences.iter() {
            let track = self.tracks[kind].as_ref().filter(|track| track.taken().nack);
            // What it cannot have lost is not answered, nor counted.
            let Some((index, number)) = track.and_then(|track| track.had(sequence)) else { continue };
            let Some(packet) = history.get(index) else {
                self.figures.unanswered += 1;
                continue;
            };
            if !self.budget.take(at.now) {
                self.figures.unanswered += 1;
                over_budget += 1;
                continue;
            }
            self.figures.resent += 1;
            self.send_again(kind, packet, number, send);
            self.twice.again(kind, sequence, at.now);
        }
        over_budget
    }

    /// Sends a packet again that had this number.
    fn send_again(
        &mut self,
        kind: Kind,
        packet: &Packet,
        number: Number,
        send: &mut impl FnMut(Outgoing<'_>),
    ) {
        let Some(track) = &mut self.tracks[kind] else { return };
        match track.taken().rtx {
            Some(payload_type) => {
                let again = track.next_again();
                let header = track.header_again(packet, again, payload_type, &mut self.stamp);
                let payload: [&[u8]; 2] = [&track::original(number), &packet.payload];
                count(&mut self.figures, &header, &payload);
                send(Outgoing { number: again, header: &header, payload: &payload });
            }
            None => {
                let header = track.header(packet, number, &mut self.stamp);
                count(&mut self.figures, &header, &[&packet.payload]);
                send(Outgoing { number, header: &header, payload: &[&packet.payload] });
            }
        }
    }
}

fn count(figures: &mut Figures, header: &Header, payload: &[&[u8]]) {
    figures.packets += 1;
    figures.bytes += (header.bytes().len() + payload.iter().map(|piece| piece.len()).sum::<usize>()) as u64;
}
