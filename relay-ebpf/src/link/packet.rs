//! What a packet is to a link: RTP with its numbers, RTCP, or anything else, which is never lost.

use aya_ebpf::programs::TcContext;
use relay_common::packet::be16;

const ETHERNET: usize = 14;
const IPV6: usize = 40;
const UDP: usize = 8;
const PROTOCOL_UDP: u8 = 17;

/// Whatever is not lost is not told apart.
pub enum Packet {
    Rtp(Key),
    Rtcp,
}

/// An RTP packet among all: the time stamp tells numbers apart that have come round.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Key {
    pub ssrc: u32,
    pub timestamp: u32,
    pub sequence: u32,
}

/// Looks through Ethernet, IP without options or extensions, and UDP. By copies, as the bytes may lie anywhere in the
/// socket buffer.
#[inline(always)]
pub fn look(ctx: &TcContext) -> Option<Packet> {
    let ethernet: [u8; ETHERNET] = ctx.load(0).ok()?;
    let payload = match be16(&ethernet, 12) {
        0x0800 => {
            let ip: [u8; 20] = ctx.load(ETHERNET).ok()?;
            // A later fragment has no UDP header.
            if ip[0] != 0x45 || ip[9] != PROTOCOL_UDP || be16(&ip, 6) & 0x1fff != 0 {
                return None;
            }
            ETHERNET + 20 + UDP
        }
        0x86dd => {
            let ip: [u8; IPV6] = ctx.load(ETHERNET).ok()?;
            if ip[6] != PROTOCOL_UDP {
                return None;
            }
            ETHERNET + IPV6 + UDP
        }
        _ => return None,
    };
    let start: [u8; 4] = ctx.load(payload).ok()?;
    // RFC 7983 section 7, and RFC 5761 section 4.
    if start[0] & 0xc0 != 0x80 {
        return None;
    }
    if start[1] >= 192 && start[1] <= 223 {
        return Some(Packet::Rtcp);
    }
    let rest: [u8; 8] = ctx.load(payload + 4).ok()?;
    let [a, b, c, d, e, f, g, h] = rest;
    Some(Packet::Rtp(Key {
        ssrc: u32::from_be_bytes([e, f, g, h]),
        timestamp: u32::from_be_bytes([a, b, c, d]),
        sequence: be16(&start, 2) as u32,
    }))
}
