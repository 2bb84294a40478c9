//! Frames built from nothing, field by field: what goes into the kernel programs, and what must come out.

use std::net::{IpAddr, SocketAddr};

/// A UDP datagram in an Ethernet frame.
#[derive(Clone, Debug)]
pub struct Datagram {
    pub destination_mac: [u8; 6],
    pub source_mac: [u8; 6],
    /// VLAN tags as they are on the wire.
    pub tags: Vec<[u8; 4]>,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub ttl: u8,
    pub checksum: Checksum,
    pub payload: Vec<u8>,
    /// What follows the datagram in the frame.
    pub padding: usize,
}

/// What is in the UDP checksum field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    Right,
    None,
    /// The pseudo-header's sum, the rest being left to hardware.
    Partial,
}

/// VLAN 7, priority 5 (IEEE 802.1Q).
pub const TAG: [u8; 4] = [0x81, 0x00, 0xa0, 0x07];
/// A service tag (IEEE 802.1ad).
pub const SERVICE_TAG: [u8; 4] = [0x88, 0xa8, 0x00, 0x07];

impl Datagram {
    /// Without what is behind the packet, as far as the shortest frame does not need it: what XDP makes of it.
    pub fn trimmed(self) -> Datagram {
        let bare = Datagram { padding: 0, ..self.clone() }.bytes().len();
        let padding = self.padding.min(60usize.saturating_sub(bare));
        Datagram { padding, ..self }
    }

    /// The same with another sequence number, if it is RTP.
    pub fn numbered(mut self, sequence: u16) -> Datagram {
        if self.payload.len() >= 12 && !(192..=223).contains(&self.payload[1]) {
            self.payload[2..4].copy_from_slice(&sequence.to_be_bytes());
        }
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = [self.destination_mac, self.source_mac].concat();
        frame.extend(self.tags.concat());
        frame.extend_from_slice(if self.source.is_ipv4() { &[0x08, 0x00] } else { &[0x86, 0xdd] });
        frame.extend(self.ip_header());
        frame.extend(self.udp());
        frame.extend(std::iter::repeat_n(0xee, self.padding));
        frame
    }

    /// Where the IP header starts.
    pub fn ip_at(&self) -> usize {
        14 + 4 * self.tags.len()
    }

    /// Where the UDP header starts.
    pub fn udp_at(&self) -> usize {
        self.ip_at() + if self.source.is_ipv4() { 20 } else { 40 }
    }

    /// The frame with some bytes overwritten; the IPv4 header's checksum is made right again.
    pub fn with(&self, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut frame = self.bytes();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        if self.source.is_ipv4() {
            set_header_checksum(&mut frame[self.ip_at()..][..20]);
        }
        frame
    }

    fn ip_header(&self) -> Vec<u8> {
        let udp_length = 8 + self.payload.len() as u16;
        let mut ip = Vec::new();
        if self.source.is_ipv4() {
            // Expedited forwarding, an identification and "don't fragment": none of it is the relay's to change.
            ip.extend_from_slice(&[0x45, 0xb8]);
            ip.extend_from_slice(&(20 + udp_length).to_be_bytes());
            ip.extend_from_slice(&[0x12, 0x34, 0x40, 0x00, self.ttl, 17, 0, 0]);
            ip.extend(self.addresses());
            set_header_checksum(&mut ip);
        } else {
            // Traffic class and flow label are not the relay's to change either.
            ip.extend_from_slice(&[0x6b, 0x8a, 0xbc, 0xde]);
            ip.extend_from_slice(&udp_length.to_be_bytes());
            ip.extend_from_slice(&[17, self.ttl]);
            ip.extend(self.addresses());
        }
        ip
    }

    fn udp(&self) -> Vec<u8> {
        let length = (8 + self.payload.len() as u16).to_be_bytes();
        let ports = [self.source.port().to_be_bytes(), self.destination.port().to_be_bytes()].concat();
        let mut udp = [&ports[..], &length, &[0, 0], &self.payload].concat();
        let pseudo = [&self.addresses()[..], &[0, 17], &length].concat();
        let field = match self.checksum {
            Checksum::None => 0,
            Checksum::Partial => sum(&pseudo),
            Checksum::Right => match !sum(&[pseudo, udp.clone()].concat()) {
                0 => 0xffff,
                field => field,
            },
        };
        udp[6..8].copy_from_slice(&field.to_be_bytes());
        udp
    }

    fn addresses(&self) -> Vec<u8> {
        [octets(self.source.ip()), octets(self.destination.ip())].concat()
    }
}

/// An RTP packet with `length` bytes in all.
pub fn rtp(ssrc: u32, sequence: u16, length: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 0x60];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&0x0102_0304_u32.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend((packet.len()..length).map(|at| at as u8));
    packet
}

/// An RTCP sender report.
pub fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.resize(28, 0x33);
    packet
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn set_header_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let field = !sum(header);
    header[10..12].copy_from_slice(&field.to_be_bytes());
}

/// The folded sum of RFC 1071.
fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
