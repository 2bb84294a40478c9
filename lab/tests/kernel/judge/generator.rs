//! Hostile packets, by a seed: media as it should be, and then something that is wrong with it, or several things.
//!
//! Whatever is broken, a packet with a known SSRC comes from that SSRC's own source, or from one that must be refused: who a
//! stream belongs to when two have the same SSRC depends on time, and has tests of its own.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::predicate::{Input, fold, sum};
use crate::support::frames::{Checksum, Datagram, SERVICE_TAG, TAG};
use crate::support::{AUDIO, Child, Ip, RELAY_V4, RELAY_V6, VIDEO, media};
use lab::random::Random;

/// SSRCs of a family: the first go to all children, then come those with children of their own, then those that a child sends
/// itself, then many.
pub const COMMON: usize = 40;
pub const ROUTED: usize = 8;
const SENT_BY_CHILDREN: usize = 16;
const MANY: usize = 1_000;

pub struct Generator {
    random: Random,
    children: Vec<Child>,
    xdp: bool,
    /// Each stream's last number, by SSRC: none comes twice.
    sequences: HashMap<u32, u16>,
}

/// The SSRC of a family's stream of that number.
pub fn ssrc(ip: Ip, number: usize) -> u32 {
    (if ip == Ip::V4 { 0x0400_0000 } else { 0x0600_0000 }) + number as u32
}

impl Generator {
    pub fn new(seed: u64, children: &[Child], xdp: bool) -> Self {
        Self { random: Random::new(seed), children: children.to_vec(), xdp, sequences: HashMap::new() }
    }

    pub fn packet(&mut self) -> Input {
        let ip = if self.one_in(2) { Ip::V4 } else { Ip::V6 };
        let (ssrc, source) = self.stream(ip);
        let mut packet = media(ip, Vec::new());
        packet.source = source;
        packet.ttl = self.pick(&[2, 3, 64, 64, 64, 255]);
        let kind = self.random.below(2);
        packet.destination.set_port([AUDIO, VIDEO][kind]);
        match self.random.below(10) {
            0..=6 => packet.payload = self.rtp(ssrc),
            7..=8 => self.rtcp(&mut packet, ssrc),
            _ => self.junk(&mut packet, ssrc),
        }
        if self.one_in(8) {
            packet.checksum = self.pick(&[Checksum::None, Checksum::Partial]);
        }
        let faults = match self.random.below(20) {
            0..=6 => 0,
            7..=16 => 1,
            _ => 2 + self.random.below(2),
        };
        let mut fields = Vec::new();
        for _ in 0..faults {
            match self.random.below(24) {
                fault @ 0..=10 => self.spoil(&mut packet, fault),
                fault => fields.push(fault - 11),
            }
        }
        // To tc a socket buffer says what is left to hardware, and it does so of whole packets only.
        let partial =
            packet.checksum == Checksum::Partial && !self.xdp && fields.is_empty() && packet.padding == 0;
        let mut frame = packet.bytes();
        for field in fields {
            self.overwrite(&mut frame, &packet, field);
        }
        Input { frame, partial, segment: 0 }
    }

    /// A socket buffer of several packets, sometimes with one among them that goes elsewhere, or is no media (tc).
    pub fn buffer(&mut self) -> Input {
        let ip = if self.one_in(2) { Ip::V4 } else { Ip::V6 };
        let (ssrc, source) = self.stream(ip);
        let mut packet = media(ip, Vec::new());
        packet.source = source;
        packet.checksum = Checksum::Partial;
        let segment = 24 + self.random.below(600);
        let count = 2 + self.random.below(10);
        let strange = self.pick(&[count, count, 0, 1, count - 1]);
        for at in 0..count {
            let mut one = self.rtp_of(ssrc, segment);
            if at == strange {
                match self.random.below(6) {
                    // Of the same source, but maybe with other children.
                    0 => one[8..12].copy_from_slice(&(ssrc ^ 1 << 20).to_be_bytes()),
                    1 => one[0] = 0,
                    2 => one[1] = 200,
                    3 => one[1] = 205,
                    4 => one[0] = 0x8f,
                    _ => (one[0], one[segment - 1]) = (0xa0, self.pick(&[0, 1, 255])),
                }
            }
            if at + 1 == count && self.one_in(2) {
                one.truncate(1 + self.random.below(segment));
            }
            packet.payload.extend(one);
        }
        if self.one_in(16) {
            packet.ttl = 1;
        }
        Input { frame: packet.bytes(), partial: true, segment }
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.random.below(times) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len())].clone()
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.random.below(256) as u8)
    }

    /// An SSRC and where it comes from, always the same.
    fn stream(&mut self, ip: Ip) -> (u32, SocketAddr) {
        let most = COMMON + ROUTED + SENT_BY_CHILDREN;
        let number = if self.one_in(8) { most + self.random.below(MANY) } else { self.random.below(most) };
        let source = match number.checked_sub(COMMON + ROUTED) {
            Some(at @ 0..SENT_BY_CHILDREN) => {
                let own: Vec<&Child> = self.children.iter().filter(|child| child.ip == ip).collect();
                let child = own[at % own.len()];
                (child.address(), [child.ports[1], child.ports[0], 12_345][at / own.len() % 3]).into()
            }
            _ => (host(ip, 2 + number as u16 % 200), 40_000 + number as u16 % 500 * 2).into(),
        };
        (ssrc(ip, number), source)
    }

    fn length(&mut self) -> usize {
        match self.random.below(16) {
            0 => 1_420 + self.random.below(60),
            1 => 1_480 + self.random.below(400),
            2..=7 => 60 + self.random.below(1_200),
            _ => self.random.below(60),
        }
    }

    fn rtp(&mut self, ssrc: u32) -> Vec<u8> {
        let length = 12 + self.length();
        let mut packet = self.rtp_of(ssrc, length);
        if self.one_in(4) {
            // CSRCs, extension and padding, most of which fit.
            let csrcs = self.random.below(16);
            packet[0] |= self.pick(&[0x10, 0x20, 0x30, 0]) | csrcs as u8;
            let words = if self.one_in(4) { self.bytes() } else { [0, self.random.below(8) as u8] };
            if let Some(field) = packet.get_mut(14 + 4 * csrcs..16 + 4 * csrcs) {
                field.copy_from_slice(&words);
            }
            let left = length.saturating_sub(12 + 4 * csrcs);
            let padding = self.pick(&[0, 1, 4, left, left + 1, 255]);
            if length > 12 {
                packet[length - 1] = padding as u8;
            }
        }
        packet
    }

    /// An SSRC wherever RTP or RTCP may have it, lest a spoilt packet is of a stream that nobody knows.
    fn rtp_of(&mut self, ssrc: u32, length: usize) -> Vec<u8> {
        let sequence = self.sequences.entry(ssrc).or_default();
        *sequence = sequence.wrapping_add(1);
        let sequence = *sequence;
        let marker = self.random.below(256) as u8;
        let kind = if (192..=223).contains(&marker) { 96 } else { marker };
        let mut packet = vec![0x80, kind];
        packet.extend(sequence.to_be_bytes());
        packet.extend([ssrc.to_be_bytes(), ssrc.to_be_bytes()].concat());
        let noise = self.random.below(256);
        packet.extend((packet.len()..length).map(|at| (at * 7 + noise) as u8));
        packet
    }

    fn rtcp(&mut self, packet: &mut Datagram, ssrc: u32) {
        let kind = match self.random.below(4) {
            0 => 200,
            1 => 200 + self.random.below(8),
            _ => 192 + self.random.below(32),
        };
        packet.payload = vec![0x80 | self.random.below(64) as u8, kind as u8, 0, 6];
        packet.payload.extend([ssrc.to_be_bytes(), ssrc.to_be_bytes()].concat());
        packet.payload.resize(8 + self.random.below(80), 0x33);
        let ip = if packet.source.is_ipv4() { Ip::V4 } else { Ip::V6 };
        match self.random.below(4) {
            // A child, from any of its ports; or nobody that is known, who must not speak for a stream.
            0 => {
                let own: Vec<Child> = self.children.iter().filter(|child| child.ip == ip).copied().collect();
                let child = self.pick(&own);
                let port = self.pick(&[child.ports[0], child.ports[1], child.ports[1] + 1, 7]);
                packet.source = (child.address(), port).into();
            }
            1 => {
                packet.source = (host(ip, 250), 5_005).into();
                packet.payload[1] = self.pick(&[192, 193, 201, 205, 206, 207]);
            }
            2 => packet.source.set_port(packet.source.port() + 1),
            _ => {}
        }
        if self.one_in(2) {
            packet.destination.set_port(packet.destination.port() + 1);
        }
    }

    /// STUN, DTLS, noise, media on the wrong port, too little of it.
    fn junk(&mut self, packet: &mut Datagram, ssrc: u32) {
        let length = self.random.below(200);
        packet.payload = self.rtp_of(ssrc, 12.max(length));
        match self.random.below(4) {
            0 => packet.payload[0] = self.pick(&[0, 1, 20, 63, 64, 127, 192, 255]),
            1 => packet.payload.truncate(self.random.below(13)),
            2 => packet.destination.set_port(packet.destination.port() + 1),
            _ => packet.payload[..2].copy_from_slice(&self.bytes::<2>()),
        }
    }

    /// Something is wrong that the rest of the packet agrees with.
    fn spoil(&mut self, packet: &mut Datagram, fault: usize) {
        let v4 = packet.source.is_ipv4();
        let mapped = |v4: [u8; 4]| IpAddr::from(Ipv4Addr::from(v4).to_ipv6_mapped());
        match fault {
            0 => packet.ttl = self.pick(&[0, 1, 2]),
            1 => {
                let macs =
                    [[0xff; 6], [0x01, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1], [2, 0, 0, 0, 1, 9]];
                packet.destination_mac = self.pick(&macs);
            }
            2 if v4 => {
                let others =
                    [[10, 0, 1, 99], [224, 0, 0, 1], [255; 4], [10, 0, 1, 255], [0; 4], [127, 0, 0, 1]];
                packet.destination.set_ip(self.pick(&others).into());
            }
            2 => {
                let others =
                    [mapped(RELAY_V4), mapped(RELAY_V4), host(Ip::V6, 99), Ipv6Addr::LOCALHOST.into()];
                packet.destination.set_ip(self.pick(&others));
            }
            3 if v4 => {
                let martians = [RELAY_V4, [0; 4], [127, 0, 0, 1], [224, 0, 0, 5], [239, 1, 2, 3], [255; 4]];
                packet.source.set_ip(self.pick(&martians).into());
            }
            3 => {
                let multicast = [0xff02, 0, 0, 0, 0, 0, 0, 1].into();
                let martians = [RELAY_V6.into(), [0u16; 8].into(), Ipv6Addr::LOCALHOST.into(), multicast];
                packet.source.set_ip(self.pick(&martians));
            }
            4 if !v4 => {
                let child = self.children.iter().find(|child| child.ip == Ip::V4).map(Child::address);
                let Some(IpAddr::V4(child)) = child else { return };
                packet.source.set_ip(self.pick(&[
                    mapped(child.octets()),
                    mapped([10, 0, 1, 2]),
                    mapped([0; 4]),
                ]));
            }
            4 | 5 => packet.destination.set_port(self.pick(&[0, 1, AUDIO - 1, VIDEO + 2, 0xffff])),
            6 => {
                let tags = [
                    vec![TAG],
                    vec![TAG],
                    vec![[0x81, 0, 0xe0, 0]],
                    vec![TAG, TAG],
                    vec![SERVICE_TAG],
                    vec![SERVICE_TAG, TAG],
                    vec![TAG, SERVICE_TAG],
                ];
                packet.tags = self.pick(&tags);
            }
            7 => packet.padding = 1 + self.random.below(50),
            // What has no whole SSRC must not get a strange one.
            8 | 10.. if packet.payload.len() < 12 => {}
            8 => self.seem_partial(packet),
            9 => packet.checksum = Checksum::Partial,
            _ => {
                let room: usize = if v4 { 1_472 } else { 1_452 };
                packet.payload.resize(room - 2 + self.random.below(5), 0x44);
            }
        }
    }

    /// A right checksum that is the pseudo-header's sum at the same time, as a partial one is. One in 65,536 is.
    fn seem_partial(&mut self, packet: &mut Datagram) {
        packet.payload.resize(packet.payload.len().max(14).next_multiple_of(2), 0x55);
        let word = packet.payload.len() - 2;
        packet.payload[word..].fill(0);
        packet.checksum = Checksum::Partial;
        let frame = packet.bytes();
        let udp = &frame[packet.udp_at()..][..8 + packet.payload.len()];
        // Pseudo-header and datagram with the pseudo-header's sum in the field have to come to ffff.
        let pseudo = u64::from(u16::from_be_bytes([udp[6], udp[7]]));
        let missing = !fold(pseudo + sum(udp));
        packet.payload[word..].copy_from_slice(&missing.to_be_bytes());
    }

    /// Something in the frame is wrong.
    fn overwrite(&mut self, frame: &mut Vec<u8>, packet: &Datagram, field: usize) {
        let (ip, udp, v4) = (packet.ip_at(), packet.udp_at(), packet.source.is_ipv4());
        let total = ip + if v4 { 2 } else { 4 };
        if frame.len() < udp + 8 {
            return;
        }
        let change = |frame: &mut [u8], at: usize, by: i32| {
            let value = i32::from(u16::from_be_bytes([frame[at], frame[at + 1]])) + by;
            frame[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
        };
        let by = self.pick(&[-9, -1, 1, 2, 400, -400]);
        match field {
            0 => change(frame, udp + 6, self.random.below(0xffff) as i32),
            1 if v4 => return change(frame, ip + 10, 1 + self.random.below(0xfffe) as i32),
            2 | 3 if v4 => frame[ip] = 0x40 | self.random.below(16) as u8,
            4 if v4 => frame[ip + 6..ip + 8].copy_from_slice(&self.pick(&[
                [0x20, 0],
                [0, 1],
                [0x1f, 0xff],
                [0x80, 0],
            ])),
            2..=5 if !v4 => {
                frame[ip + 6] = self.pick(&[0, 43, 44, 50, 51, 60, 135, 139, 140, 6, 58, 59, 136])
            }
            5 => frame[ip + 9] = self.pick(&[1, 2, 6, 41, 132, 136]),
            6 => change(frame, total, by),
            7 => change(frame, udp + 4, by),
            // Both: the datagram is longer than the frame, or the frame than the datagram.
            8 => {
                change(frame, total, by);
                change(frame, udp + 4, by);
            }
            9 => frame[ip] ^= 0x10 << self.random.below(4),
            10 => frame[ip - 2..ip].copy_from_slice(&self.pick(&[
                [8, 6],
                [0x88, 0xcc],
                [0x86, 0xdd],
                [8, 0],
                [0, 40],
            ])),
            11 => frame.truncate(14 + self.random.below(frame.len() - 14)),
            _ => self.flip(frame, udp),
        }
        if v4 && frame.len() >= ip + 20 {
            frame[ip + 10..ip + 12].fill(0);
            let checksum = !fold(sum(&frame[ip..ip + 20]));
            frame[ip + 10..ip + 12].copy_from_slice(&checksum.to_be_bytes());
        }
    }

    /// Turns some bits over, but for the source and the RTP header: what is said of a stream must be said by its source.
    fn flip(&mut self, frame: &mut [u8], udp: usize) {
        let source = if udp - 14 < 40 { udp - 8..udp - 4 } else { udp - 32..udp - 16 };
        for _ in 0..1 + self.random.below(3) {
            let at = self.random.below(frame.len());
            let own =
                source.contains(&at) || (udp..udp + 2).contains(&at) || (udp + 8..udp + 20).contains(&at);
            if !own {
                frame[at] ^= 1 << self.random.below(8);
            }
        }
    }
}

/// A host on the relay's own network.
fn host(ip: Ip, number: u16) -> IpAddr {
    match ip {
        Ip::V4 => IpAddr::from([10, 0, 1, number as u8]),
        Ip::V6 => IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 0, number]),
    }
}
