//! The 12-byte RTP header (RFC 3550 section 5.1) and the probe payload that sources send and sinks check.
//!
//! A probe is `counter: u64, send time: u64 (CLOCK_MONOTONIC ns), pattern`, big endian. The pattern is
//! derived from both numbers, so a damaged counter shows as corruption rather than as loss.

/// Bytes of an RTP header without CSRCs and extensions.
pub const HEADER_LENGTH: usize = 12;
/// The shortest probe packet: header, two numbers and eight bytes of pattern.
pub const MIN_PROBE_LENGTH: usize = HEADER_LENGTH + 24;

/// The fields of an RTP header that the lab sets or looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Media time stamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// What a probe's payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The flow's packet number, from 0, which never wraps.
    pub counter: u64,
    /// When it was sent.
    pub sent_ns: u64,
}

impl Header {
    /// Splits a packet into header and payload; `None` for anything but RTP (RTCP too, RFC 5761 section 4).
    pub fn parse(packet: &[u8]) -> Option<(Self, &[u8])> {
        let header = packet.first_chunk::<HEADER_LENGTH>()?;
        if header[0] >> 6 != 2 || (192..224).contains(&header[1]) {
            return None;
        }
        let mut payload = packet.get(HEADER_LENGTH + 4 * usize::from(header[0] & 0x0f)..)?;
        if header[0] & 0x10 != 0 {
            let extension = payload.first_chunk::<4>()?;
            payload = payload.get(4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]))..)?;
        }
        let parsed = Self {
            payload_type: header[1] & 0x7f,
            sequence: u16::from_be_bytes([header[2], header[3]]),
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        };
        Some((parsed, payload))
    }
}

impl Probe {
    /// Fills `packet`, which has at least [`MIN_PROBE_LENGTH`] bytes, with a header and this probe.
    pub fn write(self, header: Header, packet: &mut [u8]) {
        packet[0] = 2 << 6;
        packet[1] = header.payload_type & 0x7f;
        packet[2..4].copy_from_slice(&header.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&header.ssrc.to_be_bytes());
        packet[12..20].copy_from_slice(&self.counter.to_be_bytes());
        packet[20..28].copy_from_slice(&self.sent_ns.to_be_bytes());
        for (chunk, word) in packet[28..].chunks_mut(8).zip(self.pattern()) {
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    /// Reads a probe back from an RTP payload; `None` when it is too short or not as it was sent.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (counter, rest) = payload.split_first_chunk::<8>()?;
        let (sent_ns, pattern) = rest.split_first_chunk::<8>()?;
        let probe = Self { counter: u64::from_be_bytes(*counter), sent_ns: u64::from_be_bytes(*sent_ns) };
        let intact = pattern.len() >= 8
            && pattern.chunks(8).zip(probe.pattern()).all(|(chunk, word)| *chunk == word[..chunk.len()]);
        intact.then_some(probe)
    }

    fn pattern(self) -> impl Iterator<Item = [u8; 8]> {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let seed = (self.counter ^ self.sent_ns.rotate_left(32)).wrapping_mul(GOLDEN);
        (1u64..).map(move |index| (seed ^ index.wrapping_mul(GOLDEN)).to_be_bytes())
    }
}

/// A packet by hand, with 40 bytes of payload that are no probe.
pub fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x5a; 40]);
    packet
}

/// A request for a keyframe of that stream, from SSRC 1: a PLI (RFC 4585 section 6.3.1).
pub fn pli(media: u32) -> Vec<u8> {
    [&[0x81, 206, 0, 2, 0, 0, 0, 1][..], &media.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { payload_type: 111, sequence: 65535, timestamp: 960, ssrc: 0xdead_beef };
    const PROBE: Probe = Probe { counter: 65535, sent_ns: 123_456_789 };

    #[test]
    fn a_probe_reads_back_at_any_length() {
        for length in MIN_PROBE_LENGTH..220 {
            let mut packet = vec![0; length];
            PROBE.write(HEADER, &mut packet);
            let (header, payload) = Header::parse(&packet).unwrap();
            assert_eq!((header, Probe::read(payload)), (HEADER, Some(PROBE)), "length {length}");
        }
    }

    #[test]
    fn any_changed_payload_byte_is_corruption() {
        let mut packet = [0; 200];
        PROBE.write(HEADER, &mut packet);
        for index in HEADER_LENGTH..packet.len() {
            let mut damaged = packet;
            damaged[index] ^= 0x40;
            assert_eq!(Probe::read(&damaged[HEADER_LENGTH..]), None, "byte {index}");
        }
    }

    #[test]
    fn what_is_not_rtp_is_refused() {
        let mut rtcp = [0; 28];
        rtcp[..2].copy_from_slice(&[0x80, 200]);
        for (what, packet) in
            [("empty", &[][..]), ("STUN", &[0; 20]), ("short", &[0x80; 11]), ("RTCP", &rtcp)]
        {
            assert_eq!(Header::parse(packet), None, "{what}");
        }
    }
}
