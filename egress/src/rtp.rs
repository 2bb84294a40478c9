//! RTP on the wire, as far as an egress looks at it (RFC 3550, 5761). Pure.

/// Shortest RTP packet.
pub const HEADER: usize = 12;

/// What is looked at of an RTP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// SSRC.
    pub ssrc: u32,
    /// Sequence number.
    pub sequence: u16,
    /// Time stamp.
    pub timestamp: u32,
}

/// Why a packet on an RTP port is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Junk {
    /// Under 12 bytes.
    Short,
    /// Another version than 2.
    NotRtp,
    /// RTCP, which has a port of its own here.
    Rtcp,
}

/// Reads a packet's header.
pub fn header(packet: &[u8]) -> Result<Header, Junk> {
    let Some(head) = packet.first_chunk::<HEADER>() else { return Err(Junk::Short) };
    if head[0] >> 6 != 2 {
        return Err(Junk::NotRtp);
    }
    // RFC 5761 section 4: these payload types are RTCP's.
    if (192..=223).contains(&head[1]) {
        return Err(Junk::Rtcp);
    }
    Ok(Header {
        ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        sequence: u16::from_be_bytes([head[2], head[3]]),
        timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
    })
}

/// What a packet carries, behind header, contributing sources and extension (RFC 3550 sections 5.1, 5.3.1).
pub fn payload(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let mut at = HEADER + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(at + 2..at + 4)?;
        at += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    packet.get(at..)
}

/// A packet without media. With another SSRC than the stream's, Janus takes what follows for a new source and joins
/// the two without a seam.
pub fn dummy(payload_type: u8, ssrc: u32) -> [u8; HEADER] {
    let mut packet = [0; HEADER];
    packet[0] = 0x80;
    packet[1] = payload_type & 0x7f;
    packet[8..].copy_from_slice(&ssrc.to_be_bytes());
    packet
}

/// What tells Janus where to send its RTCP for a mountpoint.
pub const HELLO: [u8; HEADER] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_are_told_apart() {
        let rtp = [0x80, 96, 1, 2, 0, 0, 0, 9, 0, 0, 0x22, 0xb8];
        let table: [(&[u8], Result<Header, Junk>); 6] = [
            (&rtp, Ok(Header { ssrc: 8888, sequence: 258, timestamp: 9 })),
            (&rtp[..11], Err(Junk::Short)),
            (&[], Err(Junk::Short)),
            (&[0; 12], Err(Junk::NotRtp)),
            (&[0x80, 200, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0], Err(Junk::Rtcp)),
            (&[0x80, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], Ok(Header { ssrc: 7, sequence: 0, timestamp: 0 })),
        ];
        for (packet, wanted) in table {
            assert_eq!(header(packet), wanted, "{packet:?}");
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
    fn a_dummy_is_rtp() {
        assert_eq!(header(&dummy(96, 5)), Ok(Header { ssrc: 5, sequence: 0, timestamp: 0 }));
    }

    proptest! {
        #[test]
        fn no_packet_does_harm(packet: Vec<u8>) {
            let _ = header(&packet);
            let _ = payload(&packet);
        }
    }
}
