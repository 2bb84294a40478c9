//! What shares a port with RTP is told from it by the first byte, and RTCP from RTP by the second.

use relay_common::parse::{Payload, payload_of};
use relay_common::reason::Reason;

const RTP: Result<Payload, Reason> =
    Ok(Payload::Rtp { ssrc: 0x2222_2222, sequence: 0x0102, timestamp: 0x1111_1111 });
/// RTCP of a sender.
const RTCP: Result<Payload, Reason> = Ok(Payload::Rtcp { ssrc: 0x1111_1111, feedback: false });
/// RTCP of a receiver.
const FEEDBACK: Result<Payload, Reason> = Ok(Payload::Rtcp { ssrc: 0x1111_1111, feedback: true });

/// RTCP of this type (RFC 3550 section 6, 4585, 3611; FIR and NACK of RFC 2032).
const fn rtcp(packet_type: u8) -> Result<Payload, Reason> {
    if matches!(packet_type, 192 | 193 | 201 | 205 | 206 | 207) { FEEDBACK } else { RTCP }
}
const NOT_RTP: Result<Payload, Reason> = Err(Reason::NotRtp);

fn packet(first: u8, second: u8) -> [u8; 16] {
    [first, second, 1, 2, 0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22, 0, 0, 0, 0]
}

/// RFC 7983 section 7: (first byte, what it is, ours).
const FIRST_BYTES: [(std::ops::RangeInclusive<u8>, &str, bool); 8] = [
    (0..=3, "STUN", false),
    (4..=15, "nothing", false),
    (16..=19, "ZRTP", false),
    (20..=63, "DTLS", false),
    (64..=79, "TURN channel", false),
    (80..=127, "nothing", false),
    (128..=191, "RTP or RTCP", true),
    (192..=255, "QUIC (RFC 9443)", false),
];

#[test]
fn every_first_byte() {
    assert_eq!(FIRST_BYTES.iter().map(|(bytes, ..)| bytes.clone().count()).sum::<usize>(), 256);
    for (bytes, what, ours) in FIRST_BYTES {
        for first in bytes {
            let rtp = payload_of(&packet(first, 96), false);
            assert_eq!(rtp, if ours { RTP } else { NOT_RTP }, "{what}: first byte {first}");
            let rtcp = payload_of(&packet(first, 200), true);
            assert_eq!(rtcp, if ours { RTCP } else { NOT_RTP }, "{what}: first byte {first}, RTCP port");
        }
    }
}

/// RFC 5761 section 4: RTCP's packet types are 192..=223; RTP payload types 64..=95 with a marker would look the same
/// and must not be used. On the RTCP port nothing but RTCP is expected.
#[test]
fn every_second_byte() {
    for second in 0..=255 {
        let is_rtcp = (192..=223).contains(&second);
        assert_eq!(
            payload_of(&packet(0x80, second), false),
            if is_rtcp { rtcp(second) } else { RTP },
            "{second}"
        );
        assert_eq!(
            payload_of(&packet(0x80, second), true),
            if is_rtcp { rtcp(second) } else { NOT_RTP },
            "{second}"
        );
    }
}

#[test]
fn the_known_rtcp_types_are_rtcp_and_the_usual_payload_types_are_rtp() {
    // SR, RR, SDES, BYE, APP, RTPFB, PSFB, XR.
    for second in 200..=207 {
        assert_eq!(payload_of(&packet(0x81, second), false), rtcp(second));
    }
    // PCMU, PCMA, and the dynamic types that WebRTC uses, without and with a marker.
    for payload_type in [0, 8, 96, 97, 111, 126, 127] {
        assert_eq!(payload_of(&packet(0x90, payload_type), false), RTP);
        assert_eq!(payload_of(&packet(0x90, payload_type | 0x80), false), RTP);
    }
}

#[test]
fn headers_that_are_cut_off_are_runts() {
    for length in 0..=16 {
        let rtp = if length < 12 { Err(Reason::RtpRunt) } else { RTP };
        assert_eq!(payload_of(&packet(0x80, 96)[..length], false), rtp, "RTP of {length} bytes");
        let rtcp = if length < 8 { Err(Reason::RtpRunt) } else { RTCP };
        assert_eq!(payload_of(&packet(0x80, 200)[..length], false), rtcp, "RTCP of {length} bytes");
        assert_eq!(payload_of(&packet(0x80, 200)[..length], true), rtcp, "RTCP of {length} bytes, RTCP port");
    }
}
