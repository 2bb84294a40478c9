//! RTP and RTCP on the wire, as far as an egress looks at them (RFC 3550, 4585, 5761). Pure.

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

/// A picture loss indication (RFC 4585 section 6.3.1).
pub fn pli(sender: u32, media: u32) -> [u8; HEADER] {
    let mut packet = [0; HEADER];
    packet[..4].copy_from_slice(&[0x81, 206, 0, 2]);
    packet[4..8].copy_from_slice(&sender.to_be_bytes());
    packet[8..].copy_from_slice(&media.to_be_bytes());
    packet
}

/// Whether a compound RTCP packet asks for a keyframe: PLI, or FIR (RFC 5104 section 4.3.1).
pub fn asks_for_keyframe(mut packet: &[u8]) -> bool {
    while let Some(&[first, kind, high, low]) = packet.first_chunk::<4>() {
        if first >> 6 != 2 {
            return false;
        }
        if kind == 206 && matches!(first & 0x1f, 1 | 4) {
            return true;
        }
        let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        packet = packet.get(length..).unwrap_or_default();
    }
    false
}

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
    fn a_dummy_is_rtp_and_a_pli_is_one() {
        assert_eq!(header(&dummy(96, 5)), Ok(Header { ssrc: 5, sequence: 0, timestamp: 0 }));
        let pli = pli(1, 8888);
        assert_eq!(pli, [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0x22, 0xb8]);
        assert!(asks_for_keyframe(&pli));
        let receiver_report = [0x80, 201, 0, 1, 0, 0, 0, 1];
        assert!(!asks_for_keyframe(&receiver_report));
        assert!(asks_for_keyframe(&[&receiver_report[..], &pli].concat()));
        assert!(!asks_for_keyframe(&[0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]), "a NACK");
    }

    proptest! {
        #[test]
        fn no_packet_does_harm(packet: Vec<u8>) {
            let _ = header(&packet);
            asks_for_keyframe(&packet);
        }
    }
}
