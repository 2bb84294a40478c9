//! The probe payload that sources send and sinks check, behind an RTP header.
//!
//! A probe is `counter: u64, send time: u64 (CLOCK_MONOTONIC ns), pattern`, big endian. The pattern is
//! derived from both numbers, so a damaged counter shows as corruption rather than as loss.

use node::media::rtp;
pub use node::media::rtp::{HEADER as HEADER_LENGTH, Header};

/// The shortest probe packet: header, two numbers and eight bytes of pattern.
pub const MIN_PROBE_LENGTH: usize = HEADER_LENGTH + 24;

/// Splits a packet into header and payload; `None` for anything but RTP.
pub fn parse(packet: &[u8]) -> Option<(Header, &[u8])> {
    Some((Header::read(packet).ok()?, rtp::payload(packet)?))
}

/// What a probe's payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The flow's packet number, from 0, which never wraps.
    pub counter: u64,
    /// When it was sent.
    pub sent_ns: u64,
}

impl Probe {
    /// Fills `packet`, which has at least [`MIN_PROBE_LENGTH`] bytes, with a header and this probe.
    pub fn write(self, header: Header, packet: &mut [u8]) {
        packet[..HEADER_LENGTH].copy_from_slice(&header.bytes());
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
    use node::media::Ssrc;

    use super::*;

    const HEADER: Header =
        Header { payload_type: 111, sequence: 65535, timestamp: 960, ssrc: Ssrc(0xdead_beef) };
    const PROBE: Probe = Probe { counter: 65535, sent_ns: 123_456_789 };

    #[test]
    fn a_probe_reads_back_at_any_length() {
        for length in MIN_PROBE_LENGTH..220 {
            let mut packet = vec![0; length];
            PROBE.write(HEADER, &mut packet);
            let (header, payload) = parse(&packet).unwrap();
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
            assert_eq!(parse(packet), None, "{what}");
        }
    }
}
