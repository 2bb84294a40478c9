//! The packet that the generator sends: RTP in UDP over IPv4, with right checksums.

use std::net::Ipv4Addr;

use lab::relay::AUDIO;
use lab::rtp::{HEADER_LENGTH, Header};
use node::media::{Codec, Ssrc};

/// Bytes that the generator writes into every packet.
pub const WRITTEN: usize = 80;
/// Ethernet, IPv4 and UDP header.
pub const HEADERS: usize = 14 + 20 + 8;
const SOURCE_PORT: u16 = 40_000;
/// Longest frame of an Ethernet without tag.
const LONGEST: usize = 1514;

/// The frame, with 0 for what differs between packets: sequence number, timestamp, SSRC, probe, UDP checksum.
pub struct Frame {
    pub bytes: Vec<u8>,
    /// The sum of all that the UDP checksum covers, in the kernel's byte order.
    pub sum: u32,
}

impl Frame {
    /// `length`: of the whole frame without its check sequence.
    pub fn new(macs: [[u8; 6]; 2], source: Ipv4Addr, destination: Ipv4Addr, length: usize) -> Self {
        assert!(Self::possible(length), "no such frame");
        let [source_mac, destination_mac] = macs;
        let rtp_length = length - HEADERS;
        let udp_length = ((8 + rtp_length) as u16).to_be_bytes();
        let total = ((20 + 8 + rtp_length) as u16).to_be_bytes();
        let addresses = [source.octets(), destination.octets()].concat();

        // Version and header length, no fragment, TTL 64, UDP.
        let mut ip = [&[0x45, 0][..], &total, &[0, 0, 0x40, 0, 64, 17, 0, 0], &addresses].concat();
        let header_sum = (!fold(sum(&ip))).to_ne_bytes();
        ip[10..12].copy_from_slice(&header_sum);

        let mut rtp = vec![0; rtp_length];
        let payload_type = Codec::Opus.payload_type();
        let header = Header { payload_type, sequence: 0, timestamp: 0, ssrc: Ssrc(0) };
        rtp[..HEADER_LENGTH].copy_from_slice(&header.bytes());
        // Beyond the probe, anything that is not all the same.
        (0..).zip(&mut rtp[WRITTEN - HEADERS..]).for_each(|(index, byte)| *byte = index as u8);
        let udp = [&SOURCE_PORT.to_be_bytes()[..], &AUDIO.to_be_bytes(), &udp_length, &[0, 0], &rtp].concat();
        let pseudo = [&addresses[..], &[0, 17], &udp_length].concat();

        let ethernet = [&destination_mac[..], &source_mac, &[0x08, 0x00]].concat();
        let bytes = [ethernet, ip, udp.clone()].concat();
        debug_assert_eq!(bytes.len(), length);
        Self { bytes, sum: u32::from(fold(sum(&pseudo) + sum(&udp))) }
    }

    /// Whether there is a frame of this length.
    pub fn possible(length: usize) -> bool {
        (WRITTEN..=LONGEST).contains(&length) && length.is_multiple_of(2)
    }

    /// The first bytes, which the generator writes into every packet.
    pub fn template(&self) -> [u64; WRITTEN / 8] {
        let mut words = [0; WRITTEN / 8];
        for (word, bytes) in words.iter_mut().zip(self.bytes.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        if cfg!(target_endian = "big") { words.map(u64::swap_bytes) } else { words }
    }
}

/// Ones' complement sum of 16-bit words (RFC 1071), not folded; for an even number of bytes.
fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).map(|pair| u32::from(u16::from_ne_bytes([pair[0], pair[1]]))).sum()
}

fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}
