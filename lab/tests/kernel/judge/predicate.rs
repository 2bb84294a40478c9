//! What must become of a frame, by docs/operations.md, "What a relay takes", ARCHITECTURE.md and the RFCs.
//! Written without the relay's code, and with a parser of its own: it is what the relay is held against.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A child, as whoever configures a relay knows it.
#[derive(Clone, Debug)]
pub struct Child {
    pub id: u32,
    /// MACs of the next hop and of the relay's interface towards it.
    pub macs: [[u8; 6]; 2],
    /// The relay's address towards it, and its own.
    pub source: IpAddr,
    pub address: IpAddr,
    /// RTP ports for audio and video.
    pub ports: [u16; 2],
    /// Largest IP packet on the way to it.
    pub mtu: usize,
}

/// How the relay is configured, and what has come so far.
pub struct World {
    pub xdp: bool,
    pub mac: [u8; 6],
    pub addresses: [IpAddr; 2],
    /// RTP ports for audio and video.
    pub ports: [u16; 2],
    pub children: Vec<Child>,
    /// Streams with children of their own, by SSRC, on both ports.
    pub routes: HashMap<u32, Vec<u32>>,
    /// Streams whose source is known, by RTP port and SSRC.
    pub sources: HashMap<(u16, u32), IpAddr>,
    /// What has come of each.
    pub numbers: HashMap<(u16, u32), Numbers>,
}

/// The sequence numbers that have come of a stream, without end.
#[derive(Default)]
pub struct Numbers {
    highest: i64,
    come: BTreeSet<i64>,
}

impl Numbers {
    /// Whether this one has not come. What is older than some thousand is not the relay's to know, nor sent by anybody here.
    fn is_new(&mut self, sequence: u16) -> bool {
        let number = self.highest + i64::from(sequence.wrapping_sub(self.highest as u16) as i16);
        self.highest = self.highest.max(number);
        self.come = self.come.split_off(&(self.highest - 3_000));
        self.come.insert(number)
    }
}

/// A frame as it comes to the relay's interface.
#[derive(Clone, Debug, Default)]
pub struct Input {
    pub frame: Vec<u8>,
    /// The socket buffer says that its UDP checksum is left to hardware (tc; to xdp only the field itself can say it).
    pub partial: bool,
    /// The socket buffer is several packets with so many bytes of payload each; 0: it is one.
    pub segment: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The kernel drops it before any program can see it.
    Unseen,
    /// To the stack, untouched.
    Stack,
    /// Ends here; there may be copies that were not made.
    Dropped,
    Copied,
}

/// A child's copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub child: u32,
    pub frame: Vec<u8>,
    /// What may follow it: Ethernet padding of a frame of the shortest length.
    pub padding: Vec<u8>,
    /// Bytes of RTP or RTCP.
    pub bytes: usize,
}

#[derive(Clone, Debug)]
pub struct Expected {
    pub fate: Fate,
    /// How many packets the frame is.
    pub packets: usize,
    /// One of these is counted for each packet, unless it goes to children.
    pub reasons: BTreeSet<&'static str>,
    pub copies: Vec<Copy>,
    /// Children without a copy, and why, by one of these; counted for each packet.
    pub left_out: Vec<(u32, Vec<&'static str>)>,
    /// How many of the packets are no media and go with it: counted besides.
    pub alongside: usize,
}

/// A UDP datagram for the relay.
struct Datagram {
    /// Where the IP packet starts and ends, and where UDP starts.
    ip: usize,
    end: usize,
    udp: usize,
    v6: bool,
    source: SocketAddr,
    port: u16,
    kind: usize,
    rtcp_port: bool,
}

/// RTP or RTCP in a datagram, or one of the packets in it.
struct Media {
    ssrc: u32,
    rtcp: bool,
}

type Faults = BTreeSet<&'static str>;

impl World {
    pub fn judge(&mut self, input: &Input) -> Expected {
        let nothing = |fate, reasons| Expected {
            fate,
            packets: 1,
            reasons,
            copies: Vec::new(),
            left_out: Vec::new(),
            alongside: 0,
        };
        let frame = &input.frame;
        // The kernel takes the tag out before tc; it drops a frame that ends in its tag.
        if !self.xdp && [0x8100, 0x88a8].contains(&be16(frame, 12)) && frame.len() < 20 {
            return nothing(Fate::Unseen, Faults::new());
        }
        let mut faults = Faults::new();
        if frame[..6] != self.mac {
            faults.insert("not-local");
        }
        let Some(datagram) = self.datagram(frame, &mut faults) else { return nothing(Fate::Stack, faults) };
        let payload = &frame[datagram.udp + 8..datagram.end];
        let segment = if input.segment == 0 { payload.len().max(1) } else { input.segment };
        let mut packets: Vec<&[u8]> = payload.chunks(segment).collect();
        if packets.is_empty() {
            packets.push(payload);
        }
        let count = packets.len();
        let mut sets = HashSet::new();
        let mut first = None;
        let (mut mixed, mut alongside, mut fresh) = (false, 0, false);
        for packet in &packets {
            match self.media(packet, &datagram) {
                Ok(_) if !faults.is_empty() => break,
                Ok(media) => {
                    // RTP says whose stream it is, and until it comes a report does.
                    let source = self.sources.entry((self.ports[datagram.kind], media.ssrc));
                    let source = source.or_insert(datagram.source.ip());
                    if !media.rtcp {
                        *source = datagram.source.ip();
                    }
                    let numbers = self.numbers.entry((self.ports[datagram.kind], media.ssrc)).or_default();
                    fresh |= media.rtcp || numbers.is_new(be16(packet, 2));
                    sets.insert(self.routes.get(&media.ssrc).cloned());
                    first.get_or_insert(media);
                }
                Err(reasons) if first.is_none() => {
                    faults.extend(reasons);
                    break;
                }
                Err(reasons) if reasons.iter().all(|reason| ["not-rtp", "rtp-runt"].contains(reason)) => {
                    alongside += 1;
                }
                Err(_) => mixed = true,
            }
        }
        let Some(first) = first.filter(|_| faults.is_empty()) else {
            // What has another fault besides goes to the stack, and then is not counted as what is dropped.
            let alone = faults.len() == 1;
            let collides = faults.take("ssrc-collision").filter(|_| alone);
            let fate = if collides.is_some() { Fate::Dropped } else { Fate::Stack };
            faults.extend(collides);
            return Expected { packets: count, ..nothing(fate, faults) };
        };
        if mixed || sets.len() > 1 {
            return Expected {
                packets: count,
                alongside,
                ..nothing(Fate::Dropped, ["mixed-segments"].into())
            };
        }
        if !fresh {
            return Expected { packets: count, alongside, ..nothing(Fate::Dropped, ["duplicate"].into()) };
        }
        let largest = packets.iter().map(|packet| packet.len()).max().unwrap_or(0);
        Expected { packets: count, alongside, ..self.copies(input, &datagram, &first, largest) }
    }

    /// The datagram in a frame. All that is wrong with it is a reason; which of them is counted is the relay's choice.
    fn datagram(&self, frame: &[u8], faults: &mut Faults) -> Option<Datagram> {
        let (mut ip, mut ethertype) = (14, be16(frame, 12));
        if ethertype == 0x8100 {
            if frame.len() < 18 {
                faults.insert("runt");
                return None;
            }
            (ip, ethertype) = (18, be16(frame, 16));
            if ethertype == 0x8100 {
                faults.insert("stacked-vlan");
                // To tc the inner tag is the only one in the frame: it may look behind that, too.
                if self.xdp {
                    return None;
                }
                if frame.len() < 22 {
                    faults.insert("runt");
                    return None;
                }
                (ip, ethertype) = (22, be16(frame, 20));
            }
        }
        let (udp, source, destination) = match ethertype {
            0x0800 => ipv4(frame, ip, faults)?,
            0x86dd => ipv6(frame, ip, faults)?,
            0x88a8 => {
                faults.insert("stacked-vlan");
                return None;
            }
            _ => {
                faults.insert("not-ip");
                return None;
            }
        };
        let v6 = ethertype == 0x86dd;
        let end = udp + usize::from(be16(frame, udp + 4));
        let (from, to) = (be16(frame, udp), be16(frame, udp + 2));
        let pair = self.ports.iter().position(|port| *port == to || port + 1 == to);
        if !self.addresses.contains(&destination) {
            faults.insert("not-local");
        } else if pair.is_none() {
            faults.insert("unknown-port");
        }
        if is_martian(source) || self.addresses.contains(&source) {
            faults.insert("martian-source");
        }
        if v6 && be16(frame, udp + 6) == 0 {
            faults.insert("udp6-no-checksum");
        }
        if frame[ip + if v6 { 7 } else { 8 }] <= 1 {
            faults.insert("ttl-expired");
        }
        let kind = pair?;
        let rtcp_port = to == self.ports[kind] + 1;
        let source = (source, from).into();
        Some(Datagram { ip, end, udp, v6, source, port: to, kind, rtcp_port })
    }

    /// What a packet is (RFC 7983, RFC 5761 section 4, RFC 3550 section 5.1), and why it is not for children.
    fn media(&self, packet: &[u8], datagram: &Datagram) -> Result<Media, Faults> {
        let fault = |reason| Err(Faults::from([reason]));
        if packet.len() < 8 {
            let version = packet.first().is_none_or(|first| first >> 6 == 2);
            return Err(if version { ["rtp-runt"].into() } else { ["rtp-runt", "not-rtp"].into() });
        }
        if packet[0] >> 6 != 2 {
            return fault("not-rtp");
        }
        if (192..=223).contains(&packet[1]) {
            let ssrc = be32(packet, 4);
            let child = self.children.iter().any(|child| child.address == datagram.source.ip());
            let source = self.sources.get(&(self.ports[datagram.kind], ssrc));
            let feedback = [192, 193, 201, 205, 206, 207].contains(&packet[1]);
            return match (child, feedback) {
                (true, true) => fault("rtcp-from-child"),
                (true, false) if source != Some(&datagram.source.ip()) => fault("rtcp-from-child"),
                (false, true) => fault("rtcp-feedback"),
                (false, false) if source.is_some_and(|source| *source != datagram.source.ip()) => {
                    fault("ssrc-collision")
                }
                _ => Ok(Media { ssrc, rtcp: true }),
            };
        }
        if datagram.rtcp_port {
            return fault("not-rtp");
        }
        if packet.len() < 12 {
            return fault("rtp-runt");
        }
        Ok(Media { ssrc: be32(packet, 8), rtcp: false })
    }

    fn copies(&self, input: &Input, datagram: &Datagram, media: &Media, largest: usize) -> Expected {
        let all = || self.children.iter().map(|child| child.id).collect();
        let members: Vec<u32> = self.routes.get(&media.ssrc).cloned().unwrap_or_else(all);
        let (mut copies, mut left_out) = (Vec::new(), Vec::new());
        for child in self.children.iter().filter(|child| members.contains(&child.id)) {
            let port = child.ports[datagram.kind] + u16::from(media.rtcp && datagram.rtcp_port);
            let goal = SocketAddr::from((child.address, port));
            let headers = datagram.udp + 8 - datagram.ip;
            let reasons = [
                ("other-family", goal.is_ipv6() != datagram.v6),
                ("child-is-sender", goal == datagram.source),
                ("too-big", goal.is_ipv6() == datagram.v6 && headers + largest > child.mtu),
            ];
            let why: Vec<&str> = reasons.iter().filter(|(_, holds)| *holds).map(|(why, _)| *why).collect();
            if why.is_empty() {
                copies.push(self.copy(input, datagram, child, goal));
            } else {
                left_out.push((child.id, why));
            }
        }
        let reasons = if members.is_empty() { Faults::from(["no-children"]) } else { Faults::new() };
        let fate = if copies.is_empty() { Fate::Dropped } else { Fate::Copied };
        Expected { fate, packets: 1, reasons, copies, left_out, alongside: 0 }
    }

    /// The copy for one child: headers are its own, all else is as it came.
    fn copy(&self, input: &Input, datagram: &Datagram, child: &Child, goal: SocketAddr) -> Copy {
        let Datagram { ip, end, udp, v6, .. } = *datagram;
        let mut frame = child.macs.concat();
        frame.extend(if v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
        frame.extend(&input.frame[ip..end]);
        let udp = udp - ip + 14;
        frame[14 + if v6 { 7 } else { 8 }] -= 1;
        let addresses = [octets(child.source), octets(child.address)].concat();
        let before = sum(&frame[udp - addresses.len()..udp]);
        frame[udp - addresses.len()..udp].copy_from_slice(&addresses);
        if !v6 {
            frame[24..26].fill(0);
            let field = !fold(sum(&frame[14..34]));
            frame[24..26].copy_from_slice(&field.to_be_bytes());
        }
        let rest = 17 + u64::from(be16(&frame, udp + 4));
        let (before, after) = (before + rest, sum(&addresses) + rest);
        let field = be16(&frame, udp + 6);
        // The ones' complement sum of it all is ffff, which is zero, if the checksum is right; else it says by how much not.
        let error = (before + sum(&frame[udp..])) % 0xffff;
        frame[udp..udp + 2].copy_from_slice(&datagram.port.to_be_bytes());
        frame[udp + 2..udp + 4].copy_from_slice(&goal.port().to_be_bytes());
        frame[udp + 6..udp + 8].fill(0);
        let with_error =
            |error: u64| match ((error + 0xffff - (after + sum(&frame[udp..])) % 0xffff) % 0xffff) as u16 {
                // RFC 768: 0 is sent as ffff, which is the same.
                0 => 0xffff,
                field => field,
            };
        let unfinished = self.xdp && error != 0 && field == fold(before);
        let field = match (input.partial, field, unfinished) {
            (true, ..) => fold(after),
            (_, 0, _) => 0,
            (_, _, true) => with_error(0),
            _ => with_error(error),
        };
        frame[udp + 6..udp + 8].copy_from_slice(&field.to_be_bytes());
        // What is behind the packet is not copied, but for xdp's padding of the shortest frames.
        let room = if self.xdp { 60usize.saturating_sub(frame.len()) } else { 0 };
        let padding = input.frame[end..].iter().copied().take(room).collect();
        Copy { child: child.id, bytes: frame.len() - udp - 8, frame, padding }
    }
}

/// Where UDP starts, source and destination.
type Found = Option<(usize, IpAddr, IpAddr)>;

fn ipv4(frame: &[u8], ip: usize, faults: &mut Faults) -> Found {
    let packet = &frame[ip..];
    if packet.len() < 20 {
        faults.insert("runt");
        return None;
    }
    let words = usize::from(packet[0] & 15);
    if packet[0] >> 4 != 4 {
        faults.insert("not-ip");
        return None;
    }
    if fold(sum(&packet[..(4 * words).clamp(20, packet.len())])) != 0xffff
        || fold(sum(&packet[..20])) != 0xffff
    {
        faults.insert("bad-checksum");
    }
    if words != 5 {
        faults.insert(if words < 5 { "bad-length" } else { "ip-options" });
        return None;
    }
    if be16(packet, 6) & 0x3fff != 0 {
        faults.insert("fragment");
        return None;
    }
    if packet[9] != 17 {
        faults.insert("not-udp");
        return None;
    }
    lengths(frame, ip, 20, usize::from(be16(packet, 2)), faults)?;
    let address = |at| IpAddr::from(*packet[at..].first_chunk::<4>().unwrap());
    Some((ip + 20, address(12), address(16)))
}

fn ipv6(frame: &[u8], ip: usize, faults: &mut Faults) -> Found {
    let packet = &frame[ip..];
    if packet.len() < 40 {
        faults.insert("runt");
        return None;
    }
    if packet[0] >> 4 != 6 {
        faults.insert("not-ip");
        return None;
    }
    let address = |at| Ipv6Addr::from(*packet[at..].first_chunk::<16>().unwrap());
    let (source, destination) = (address(8), address(24));
    if [source, destination].iter().any(|address| address.to_ipv4_mapped().is_some()) {
        faults.insert("not-local");
    }
    let other = match packet[6] {
        17 => None,
        44 => Some("fragment"),
        // IANA "IPv6 Extension Header Types", but for those of experiments.
        0 | 43 | 50 | 51 | 60 | 135 | 139 | 140 => Some("extension-header"),
        _ => Some("not-udp"),
    };
    if let Some(reason) = other {
        faults.insert(reason);
        return None;
    }
    lengths(frame, ip, 40, 40 + usize::from(be16(packet, 4)), faults)?;
    Some((ip + 40, source.into(), destination.into()))
}

/// The UDP datagram fills its IP packet, and that is in the frame.
fn lengths(frame: &[u8], ip: usize, header: usize, total: usize, faults: &mut Faults) -> Option<()> {
    let there = frame.len() - ip;
    if there < header + 8 {
        faults.extend(["runt", "bad-length"]);
        return None;
    }
    let udp = usize::from(be16(frame, ip + header + 4));
    if udp < 8 || header + udp != total || there < total {
        faults.insert("bad-length");
        return None;
    }
    Some(())
}

/// No other host has such an address (RFC 1812 section 5.3.7, RFC 4291 sections 2.5.2, 2.5.3 and 2.7).
fn is_martian(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => matches!(v4.octets()[0], 0 | 127 | 224..) || v4 == Ipv4Addr::BROADCAST,
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_loopback() || v6.is_multicast(),
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

pub fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from(be16(bytes, at)) << 16 | u32::from(be16(bytes, at + 2))
}

/// The words of RFC 1071, added up.
pub fn sum(bytes: &[u8]) -> u64 {
    let (pairs, last) = bytes.as_chunks::<2>();
    let words: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    words + last.first().map_or(0, |byte| u64::from(*byte) << 8)
}

pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
