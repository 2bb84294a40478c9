//! RTP as it comes from the tree becomes [`Packet`]s.

use std::time::Duration;

use node::media::rtp::{self, HEADER, Header, NotRtp};
use node::media::{Codec, picture};

use super::Packet;
use super::numbering::Numbering;
use super::timeline::Timeline;

/// Longest packet that is taken: what a path of Ethernet's MTU carries, and some.
pub const LONGEST: usize = 2048;

/// Takes one stream in.
#[derive(Clone, Debug)]
pub struct Intake {
    codec: Codec,
    numbering: Numbering,
    timeline: Timeline,
}

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is no RTP.
    NotRtp,
    /// Its extension or padding is longer than itself.
    Truncated,
    /// Over [`LONGEST`].
    Long,
    /// Of a publication that is over, after one that has its place.
    Over,
}

impl Intake {
    /// Of a stream in this codec.
    pub fn new(codec: Codec) -> Intake {
        let kind = codec.kind();
        Intake { codec, numbering: Numbering::new(kind), timeline: Timeline::new(kind.clock_rate()) }
    }

    /// Takes a packet in.
    pub fn take(&mut self, packet: &[u8], now: Duration) -> Result<Packet, Malformed> {
        if packet.len() > LONGEST {
            return Err(Malformed::Long);
        }
        let header = Header::read(packet).map_err(|why| match why {
            NotRtp::Short | NotRtp::Version | NotRtp::Rtcp => Malformed::NotRtp,
        })?;
        let payload = payload(packet).ok_or(Malformed::Truncated)?;
        let place = self.numbering.place(header, now).ok_or(Malformed::Over)?;
        let keyframe = matches!(self.codec, Codec::Video(codec) if picture::begins_keyframe(codec, packet));
        Ok(Packet {
            index: place.index,
            timestamp: place.timestamp,
            marker: packet[1] & 0x80 != 0,
            keyframe,
            arrived: now,
            live: self.timeline.live(place.timestamp, now),
            payload: payload.into(),
        })
    }
}

/// Without padding (RFC 3550 section 5.1): the last byte says how much of that there is, itself included.
fn payload(packet: &[u8]) -> Option<&[u8]> {
    debug_assert!(packet.len() >= HEADER);
    let payload = rtp::payload(packet)?;
    if packet[0] & 0x20 == 0 {
        return Some(payload);
    }
    let padding = usize::from(*payload.last()?);
    let length = payload.len().checked_sub(padding).filter(|_| padding > 0)?;
    Some(&payload[..length])
}

#[cfg(test)]
mod tests {
    use node::media::VideoCodec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_the_encoder_made_is_kept() {
        type Row<'a> = (u8, &'a [u8], Result<&'a [u8], Malformed>);
        let table: [Row; 8] = [
            (0x80, &[7, 8], Ok(&[7, 8])),
            (0x80, &[], Ok(&[])),
            // A contributing source and an extension.
            (0x91, &[0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x10, 9, 0, 0, 7], Ok(&[7])),
            // Padding, and nothing else.
            (0xa0, &[7, 8, 0, 2], Ok(&[7, 8])),
            (0xa0, &[0, 0, 3], Ok(&[])),
            (0xa0, &[7, 0, 4], Err(Malformed::Truncated)),
            (0xa0, &[7, 0], Err(Malformed::Truncated)),
            (0x90, &[0xbe, 0xde, 0, 9], Err(Malformed::Truncated)),
        ];
        for (first, rest, wanted) in table {
            let packet = [&[first, 111][..], &[0; 10], rest].concat();
            let taken = Intake::new(Codec::Opus).take(&packet, Duration::ZERO);
            assert_eq!(taken.as_ref().map(|packet| &*packet.payload), wanted.as_ref().map(|kept| *kept));
        }
        let long = [&[0x80][..], &[0; LONGEST]].concat();
        assert_eq!(Intake::new(Codec::Opus).take(&long, Duration::ZERO).unwrap_err(), Malformed::Long);
    }

    #[test]
    fn keyframes_and_ends_of_pictures_are_marked() {
        let mut intake = Intake::new(Codec::Video(VideoCodec::Vp8));
        let keyframe = [&[0x80, 96][..], &[0; 10], &[0x10, 2, 0, 0, 0x9d, 1, 0x2a]].concat();
        let last = [&[0x80, 0xe0, 0, 1][..], &[0; 8], &[0, 1]].concat();
        let packets = [keyframe, last].map(|packet| intake.take(&packet, Duration::ZERO).unwrap());
        assert_eq!(packets.map(|packet| (packet.keyframe, packet.marker)), [(true, false), (false, true)]);
    }

    proptest! {
        #[test]
        fn no_packet_does_harm(packets: Vec<Vec<u8>>) {
            for codec in Codec::ALL {
                let mut intake = Intake::new(codec);
                for packet in &packets {
                    let _ = intake.take(packet, Duration::ZERO);
                }
            }
        }
    }
}
