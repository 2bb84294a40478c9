//! A child: takes RTP on 5002 and 5004 and remembers every header.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Lab;
use node::media::Ssrc;
use node::media::rtp::Header;

#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub header: Header,
    pub at: Instant,
    /// Begins a VP8 keyframe, or H264's IDR picture.
    pub keyframe: bool,
    /// How wide the pictures are, in the packet that says so.
    pub width: Option<u32>,
    pub from: u16,
}

/// Listens until it is dropped.
pub struct Receiver {
    sockets: [UdpSocket; 2],
    packets: Arc<[Mutex<Vec<Packet>>; 2]>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Receiver {
    pub fn start(lab: &Lab) -> Receiver {
        Receiver::on(lab, [5002, 5004])
    }

    pub fn on(lab: &Lab, ports: [u16; 2]) -> Receiver {
        let sockets = lab
            .in_namespace("far", || ports.map(|port| UdpSocket::bind(("0.0.0.0", port)).unwrap()))
            .unwrap();
        let (packets, ended) = (Arc::<[Mutex<Vec<Packet>>; 2]>::default(), Arc::<AtomicBool>::default());
        let threads = (0..2).map(|kind| {
            let (socket, packets, ended) =
                (sockets[kind].try_clone().unwrap(), packets.clone(), ended.clone());
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 2048];
                while !ended.load(Ordering::Relaxed) {
                    let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                    let packet = &buffer[..length];
                    // Whatever comes must be RTP.
                    let header = Header::read(packet).unwrap();
                    let keyframe = match header.payload_type {
                        96 => begins_keyframe(packet),
                        108 => begins_idr(packet),
                        _ => false,
                    };
                    let width = match header.payload_type {
                        96 if keyframe => vp8_width(packet),
                        108 => h264_width(packet),
                        _ => None,
                    };
                    let seen = Packet { header, at: Instant::now(), keyframe, width, from: from.port() };
                    packets[kind].lock().unwrap().push(seen);
                }
            })
        });
        let threads = threads.collect();
        Receiver { sockets, packets, ended, threads }
    }

    /// Audio (0) or video (1), in the order in which they came.
    pub fn packets(&self, kind: usize) -> Vec<Packet> {
        self.packets[kind].lock().unwrap().clone()
    }

    pub fn count(&self) -> [usize; 2] {
        [0, 1].map(|kind: usize| self.packets[kind].lock().unwrap().len())
    }

    /// Sends feedback as receivers do: from the RTP port to the sender's RTCP port.
    pub fn asks_for_keyframe(&self, ssrc: u32) {
        self.sockets[1].send_to(&node::keyframe::request(Ssrc(1), Ssrc(ssrc)), ("10.77.0.1", 5005)).unwrap();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// RFC 3550 section 5: what follows the header and its extension.
fn payload(packet: &[u8]) -> &[u8] {
    let extension = match packet[0] & 0x10 {
        0 => 0,
        _ => {
            let at = 12 + usize::from(packet[0] & 0x0f) * 4;
            4 + usize::from(u16::from_be_bytes([packet[at + 2], packet[at + 3]])) * 4
        }
    };
    &packet[12 + usize::from(packet[0] & 0x0f) * 4 + extension..]
}

/// RFC 6184 section 5: the first slice of an IDR picture (its first_mb_in_slice is 0, one bit), alone or in fragments.
fn begins_idr(packet: &[u8]) -> bool {
    match payload(packet) {
        [unit, slice, ..] if unit & 0x1f == 5 => slice & 0x80 != 0,
        [28 | 60 | 92 | 124, 0x85, slice, ..] => slice & 0x80 != 0,
        _ => false,
    }
}

/// RFC 7741 section 4: the first packet of a frame, and the P bit of the frame's own header.
fn begins_keyframe(packet: &[u8]) -> bool {
    let payload = payload(packet);
    let (first, mut at) = (payload[0], 1);
    if first & 0x80 != 0 {
        let more = payload[at];
        at += 1;
        if more & 0x80 != 0 {
            at += if payload[at] & 0x80 != 0 { 2 } else { 1 };
        }
        at += usize::from(more & 0x40 != 0) + usize::from(more & 0x30 != 0);
    }
    first & 0x17 == 0x10 && payload[at] & 1 == 0
}

/// RFC 6386 section 9.1: behind the start code of a keyframe.
fn vp8_width(packet: &[u8]) -> Option<u32> {
    let payload = payload(packet);
    let code = payload.windows(3).position(|three| three == [0x9d, 0x01, 0x2a])?;
    let width = payload.get(code + 3..code + 5)?;
    Some(u32::from(u16::from_le_bytes([width[0], width[1]]) & 0x3fff))
}

/// The width in a sequence parameter set of the baseline profile (H264 section 7.3.2.1.1), in whole macroblocks; the set comes
/// by itself, or first in an aggregate (RFC 6184 section 5.7.1).
fn h264_width(packet: &[u8]) -> Option<u32> {
    let payload = payload(packet);
    let unit = match payload.first()? & 0x1f {
        7 => payload,
        24 => payload.get(3..)?,
        _ => return None,
    };
    if unit.first()? & 0x1f != 7 || *unit.get(1)? != 66 {
        return None;
    }
    let mut bits = Bits { bytes: unit, at: 4 * 8 };
    let [_id, _frame_number, order] = [bits.number()?, bits.number()?, bits.number()?];
    if order == 0 {
        bits.number()?;
    }
    let _reference_frames = bits.number()?;
    let _gaps = bits.bit()?;
    Some((bits.number()? + 1) * 16)
}

/// H264's numbers (section 9.1): as many bits as there are zeros before the first one.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let bit = self.bytes.get(self.at / 8)? >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit.into())
    }

    fn number(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
        }
        (0..zeros).try_fold(1, |value, _| Some(value << 1 | self.bit()?)).map(|value: u32| value - 1)
    }
}

/// Asserts that packets follow each other with no number missing, doubled or out of order, and timestamps never go back.
pub fn is_seamless(packets: &[Packet]) {
    for pair in packets.windows(2) {
        let [a, b] = [pair[0].header, pair[1].header];
        assert_eq!(b.sequence, a.sequence.wrapping_add(1), "{a:?} {b:?}");
        let ticks = b.timestamp.wrapping_sub(a.timestamp);
        assert!(ticks < 10 * 90_000, "{a:?} {b:?}");
    }
}
