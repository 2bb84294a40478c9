//! The packet that the generator sends: 200 bytes of RTP in UDP over IPv4, with right checksums.

use std::net::Ipv4Addr;

use lab::relay::AUDIO;
use lab::rtp::{Header, Probe};

/// Bytes of RTP.
pub const RTP: usize = 200;
const HEADERS: usize = 14 + 20 + 8;
const SOURCE_PORT: u16 = 40_000;
const SSRC: u32 = 7777;

/// The frame with sequence number, timestamp and UDP checksum 0, which the generator fills in.
pub struct Frame {
    pub bytes: Vec<u8>,
    /// The sum of all that the UDP checksum covers, in the kernel's byte order.
    pub sum: u32,
}

impl Frame {
    pub fn new(macs: [[u8; 6]; 2], source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        let [source_mac, destination_mac] = macs;
        let udp_length = ((8 + RTP) as u16).to_be_bytes();
        let total = ((20 + 8 + RTP) as u16).to_be_bytes();
        let addresses = [source.octets(), destination.octets()].concat();

        // Version and header length, no fragment, TTL 64, UDP.
        let mut ip = [&[0x45, 0][..], &total, &[0, 0, 0x40, 0, 64, 17, 0, 0], &addresses].concat();
        let header_sum = (!fold(sum(&ip))).to_ne_bytes();
        ip[10..12].copy_from_slice(&header_sum);

        let mut rtp = vec![0; RTP];
        let header = Header { payload_type: 111, sequence: 0, timestamp: 0, ssrc: SSRC };
        Probe { counter: 0, sent_ns: 0 }.write(header, &mut rtp);
        let udp = [&SOURCE_PORT.to_be_bytes()[..], &AUDIO.to_be_bytes(), &udp_length, &[0, 0], &rtp].concat();
        let pseudo = [&addresses[..], &[0, 17], &udp_length].concat();

        let ethernet = [&destination_mac[..], &source_mac, &[0x08, 0x00]].concat();
        let bytes = [ethernet, ip, udp.clone()].concat();
        debug_assert_eq!(bytes.len(), HEADERS + RTP);
        Self { bytes, sum: u32::from(fold(sum(&pseudo) + sum(&udp))) }
    }

    /// The first 56 bytes, which the generator writes into every packet.
    pub fn template(&self) -> [u64; 7] {
        let mut words = [0; 7];
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
