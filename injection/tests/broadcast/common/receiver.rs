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
                    let seen = Packet { header, at: Instant::now(), keyframe, from: from.port() };
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

/// Asserts that packets follow each other with no number missing, doubled or out of order, and timestamps never go back.
pub fn is_seamless(packets: &[Packet]) {
    for pair in packets.windows(2) {
        let [a, b] = [pair[0].header, pair[1].header];
        assert_eq!(b.sequence, a.sequence.wrapping_add(1), "{a:?} {b:?}");
        let ticks = b.timestamp.wrapping_sub(a.timestamp);
        assert!(ticks < 10 * 90_000, "{a:?} {b:?}");
    }
}
