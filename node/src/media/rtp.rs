//! RTP packets outside the kernel (RFC 3550 section 5.1). What is RTP and what RTCP is the kernel's judgement:
//! `relay_common::parse`.

use relay_common::parse::{Payload, payload_of};
pub use relay_common::rtp::HEADER;

use super::Ssrc;

/// The fields of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in ticks of the [kind's clock](super::Kind::clock_rate).
    pub timestamp: u32,
    /// Whose packet it is.
    pub ssrc: Ssrc,
}

/// Why a packet is no RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRtp {
    /// Shorter than a header: under 12 bytes.
    Short,
    /// Of another version than 2.
    Version,
    /// RTCP (RFC 5761 section 4).
    Rtcp,
}

impl Header {
    /// Reads the header of a datagram's payload.
    pub fn read(packet: &[u8]) -> Result<Header, NotRtp> {
        let head = packet.first_chunk::<HEADER>().ok_or(NotRtp::Short)?;
        match payload_of(head, false) {
            Ok(Payload::Rtp { ssrc, sequence, timestamp }) => {
                Ok(Header { payload_type: head[1] & 0x7f, sequence, timestamp, ssrc: Ssrc(ssrc) })
            }
            Ok(Payload::Rtcp { .. }) => Err(NotRtp::Rtcp),
            Err(_) => Err(NotRtp::Version),
        }
    }

    /// The header alone: no padding, extension, marker or contributing sources.
    pub fn bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = 2 << 6;
        bytes[1] = self.payload_type & 0x7f;
        rename(&mut bytes, self.ssrc);
        renumber(&mut bytes, self.sequence, self.timestamp);
        bytes
    }
}

/// Writes sequence number and timestamp into a packet that could be [read](Header::read); anything shorter stays as it is.
pub fn renumber(packet: &mut [u8], sequence: u16, timestamp: u32) {
    if let Some(header) = packet.first_chunk_mut::<HEADER>() {
        header[2..4].copy_from_slice(&sequence.to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
    }
}

/// Writes an SSRC into a packet that could be [read](Header::read); anything shorter stays as it is.
pub fn rename(packet: &mut [u8], ssrc: Ssrc) {
    if let Some(header) = packet.first_chunk_mut::<HEADER>() {
        header[8..].copy_from_slice(&ssrc.to_be_bytes());
    }
}

/// What a packet that could be [read](Header::read) carries, behind header, contributing sources and extension (RFC 3550
/// sections 5.1, 5.3.1); `None` when it ends before that. Padding is not taken off.
pub fn payload(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let mut at = HEADER + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(at + 2..at + 4)?;
        at += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    packet.get(at..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: Header = Header { payload_type: 96, sequence: 258, timestamp: 9, ssrc: Ssrc(8888) };

    #[test]
    fn packets_are_told_apart() {
        let rtp = [0x80, 96, 1, 2, 0, 0, 0, 9, 0, 0, 0x22, 0xb8];
        let marked = [0x80, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let table: [(&[u8], Result<Header, NotRtp>); 9] = [
            (&rtp, Ok(HEAD)),
            (&[&rtp[..], &[1, 2]].concat(), Ok(HEAD)),
            (&rtp[..11], Err(NotRtp::Short)),
            (&[], Err(NotRtp::Short)),
            // RTCP as short as it gets: a receiver report without blocks.
            (&[0x80, 201, 0, 1, 0, 0, 0, 1], Err(NotRtp::Short)),
            (&[0; 12], Err(NotRtp::Version)),
            (&[0x40, 96, 1, 2, 0, 0, 0, 9, 0, 0, 0x22, 0xb8], Err(NotRtp::Version)),
            (&[0x80, 200, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0], Err(NotRtp::Rtcp)),
            (&marked, Ok(Header { payload_type: 96, sequence: 0, timestamp: 0, ssrc: Ssrc(7) })),
        ];
        for (packet, wanted) in table {
            assert_eq!(Header::read(packet), wanted, "{packet:?}");
        }
    }

    /// Payload types 64 to 95 with the marker bit are RTCP's, all others RTP's.
    #[test]
    fn rtcp_is_no_rtp() {
        for second in 0..=u8::MAX {
            let packet = [0x80, second, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7];
            let is_rtcp = second & 0x80 != 0 && (64..=95).contains(&(second & 0x7f));
            assert_eq!(Header::read(&packet) == Err(NotRtp::Rtcp), is_rtcp, "{second}");
        }
    }

    #[test]
    fn the_payload_is_behind_everything_else() {
        let head = |first: u8| [&[first, 96][..], &[0; 10]].concat();
        type Row<'a> = (u8, &'a [u8], Option<&'a [u8]>);
        let table: [Row; 6] = [
            (0x80, &[7, 8], Some(&[7, 8])),
            (0x80, &[], Some(&[])),
            (0x82, &[0, 0, 0, 1, 0, 0, 0, 2, 7], Some(&[7])),
            (0x90, &[0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0, 7], Some(&[7])),
            (0x91, &[0, 0, 0, 1, 0xbe, 0xde, 0, 0, 7], Some(&[7])),
            (0x90, &[0xbe, 0xde, 0, 2, 0x10, 0xff, 0, 0], None),
        ];
        for (first, rest, wanted) in table {
            assert_eq!(payload(&[&head(first)[..], rest].concat()), wanted, "{first:x} {rest:?}");
        }
    }

    #[test]
    fn other_numbers_leave_the_rest_as_it_is() {
        let mut packet = [&HEAD.bytes()[..], &[1, 2]].concat();
        packet[1] |= 0x80;
        renumber(&mut packet, 7, 70);
        assert_eq!(Header::read(&packet), Ok(Header { sequence: 7, timestamp: 70, ..HEAD }));
        assert_eq!((packet[1], &packet[HEADER..]), (0x80 | 96, &[1, 2][..]));
        let mut short = [0x80; 11];
        renumber(&mut short, 7, 70);
        assert_eq!(short, [0x80; 11]);
    }

    proptest! {
        #[test]
        fn no_packet_does_harm(packet: Vec<u8>) {
            let _ = Header::read(&packet);
            let _ = payload(&packet);
        }

        #[test]
        fn what_is_written_is_read(payload_type in 96..128_u8, sequence: u16, timestamp: u32, ssrc: u32) {
            let header = Header { payload_type, sequence, timestamp, ssrc: Ssrc(ssrc) };
            prop_assert_eq!(Header::read(&header.bytes()), Ok(header));
        }
    }
}
