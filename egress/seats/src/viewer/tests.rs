//! A stream's packets as viewers get them, whatever comes in.

use std::time::Duration;

use node::media::{Codec, Kind, PerKind, Ssrc, VideoCodec, rtp};
use rtcp_types::prelude::*;

use super::*;
use crate::peer::Extensions;
use crate::rtcp::Ntp;
use crate::stream::{Intake, Put};

mod keyframes;
mod lossy;
mod numbers;
mod pictures;
mod repairs;
mod reports;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn at(now: Duration) -> Moment {
    Moment { now, ntp: Ntp((1 << 40) + ((now.as_micros() as u64) << 32) / 1_000_000) }
}

fn taken(kind: Kind) -> Taken {
    let (payload_type, rtx, ssrc, rtx_ssrc, mid) = match kind {
        Kind::Audio => (109, None, 11, 12, "0"),
        Kind::Video => (120, Some(124), 21, 22, "1"),
    };
    Taken {
        mid: mid.into(),
        payload_type,
        rtx,
        ssrc,
        rtx_ssrc,
        extensions: Extensions::default(),
        nack: kind == Kind::Video,
        pli: true,
    }
}

/// A mountpoint of VP8 and Opus with a clock, and what comes to it.
struct World {
    intakes: PerKind<Intake>,
    streams: PerKind<Stream>,
    now: Duration,
}

/// What a viewer was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Got {
    number: u64,
    header: Vec<u8>,
    payload: Vec<u8>,
}

impl Got {
    fn fields(&self) -> rtp::Header {
        rtp::Header::read(&self.header).unwrap()
    }
}

impl World {
    fn new() -> World {
        let stream = |_| Stream { history: History::new(Duration::from_secs(2)), late: Vec::new() };
        let codec = |kind| if kind == Kind::Audio { Codec::Opus } else { Codec::Video(VideoCodec::Vp8) };
        World {
            intakes: PerKind::from_fn(|kind| Intake::new(codec(kind))),
            streams: PerKind::from_fn(stream),
            now: MS(10_000),
        }
    }

    /// A packet of one's own number and time. Its payload says its number.
    fn push(&mut self, kind: Kind, sequence: u16, timestamp: u32, keyframe: bool) -> Option<Put> {
        let fields = rtp::Header { payload_type: 96, sequence, timestamp, ssrc: Ssrc(7) };
        let begin: &[u8] = if keyframe { &[0x10, 2, 0, 0, 0x9d, 1, 0x2a] } else { &[0, 0, 0, 0, 0, 0, 0] };
        let packet = [&fields.bytes()[..], begin, &sequence.to_be_bytes()].concat();
        let packet = self.intakes[kind].take(&packet, self.now).ok()?;
        let (index, stream) = (packet.index, &mut self.streams[kind]);
        let put = stream.history.put(packet);
        if put == Put::Late {
            stream.late.push(index);
        }
        Some(put)
    }

    fn join(&self, media: PerKind<Option<Taken>>) -> Viewer {
        Viewer::new(media, &self.streams, at(self.now), PerKind::from([[1000, 5000]; 2])).unwrap()
    }

    /// Rounds for these, until there is no more.
    fn rounds(&mut self, viewers: &mut [(Viewer, Vec<Got>)]) {
        let mut more = true;
        while std::mem::take(&mut more) {
            for (viewer, got) in &mut *viewers {
                viewer.waits(&self.streams, MS(2000), self.now);
                more |= viewer.round(&self.streams, at(self.now), &mut |out| got.push(keep(out))).more;
            }
            Kind::BOTH.iter().for_each(|kind| self.streams[*kind].late.clear());
        }
    }

    fn hears(&self, viewer: &mut Viewer, compound: &[u8]) -> (Asks, Vec<Got>) {
        let mut got = Vec::new();
        let asks = viewer.hears(compound, &self.streams, at(self.now), &mut |out| got.push(keep(out)));
        (asks.unwrap(), got)
    }
}

fn keep(out: Outgoing<'_>) -> Got {
    Got { number: out.number.0, header: out.header.bytes().to_vec(), payload: out.payload.concat() }
}

fn video(taken: Taken) -> PerKind<Option<Taken>> {
    PerKind { audio: None, video: Some(taken) }
}

fn nack(ssrc: u32, sequences: &[u16]) -> Vec<u8> {
    let mut fci = rtcp_types::Nack::builder();
    for sequence in sequences {
        fci = fci.add_rtp_sequence(*sequence);
    }
    let packet = rtcp_types::TransportFeedback::builder(&fci).sender_ssrc(1).media_ssrc(ssrc);
    let mut bytes = vec![0; packet.calculate_size().unwrap()];
    packet.write_into(&mut bytes).unwrap();
    bytes
}

/// The number that the publisher gave a packet.
fn original_of(got: &Got) -> u16 {
    let [.., high, low] = got.payload[..] else { panic!("{got:?}") };
    u16::from_be_bytes([high, low])
}
