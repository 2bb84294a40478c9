//! A parent made by hand: what an egress gets of a relay, packet by packet, and what it asks for.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{HOST, World};

/// Between two packets of video; sound comes at every fourth.
const TICK: Duration = Duration::from_millis(5);
/// Pictures of one packet from keyframe to keyframe.
const KEYFRAME_EVERY: u64 = 100;
/// What is kept of each stream to be sent again.
const KEPT: u64 = 400;
const RTP: [u16; 2] = [5002, 5004];

/// What the parent does to a packet of its stream (0 audio, 1 video) that is the nth.
pub type Fate = dyn Fn(usize, u64) -> bool + Send + Sync;

/// A request of the egress' for packets that it lacks.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub from: SocketAddr,
    /// The port that it came to.
    pub to: u16,
    pub ssrc: u32,
    pub numbers: Vec<u16>,
}

/// Sends until it is dropped.
pub struct Parent {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    ssrcs: [u32; 2],
    /// By stream.
    media: [UdpSocket; 2],
    /// Lost on the way, if this says so.
    loses: Box<Fate>,
    /// Asked for, sent again if this is set.
    answers: AtomicBool,
    ended: AtomicBool,
    sent: [AtomicU64; 2],
    lost: [AtomicU64; 2],
    kept: [Mutex<HashMap<u16, Vec<u8>>>; 2],
    requests: Mutex<Vec<Request>>,
}

impl Parent {
    /// Sends from where `view` is, and answers what is asked for at its RTCP ports and RTP ports.
    pub fn start(world: &World<'_>, ssrcs: [u32; 2], loses: Box<Fate>) -> Parent {
        let bind = |port: u16| {
            let socket = world.socket("view", (Ipv4Addr::new(10, 77, 0, 2), port));
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            socket
        };
        let media = RTP.map(bind);
        let ears: Vec<UdpSocket> = media
            .iter()
            .map(|socket| socket.try_clone().unwrap())
            .chain(RTP.map(|port| bind(port + 1)))
            .collect();
        let shared = Arc::new(Shared {
            ssrcs,
            media,
            loses,
            answers: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            sent: Default::default(),
            lost: Default::default(),
            kept: Default::default(),
            requests: Mutex::default(),
        });
        let hears = ears.into_iter().map(|ear| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.hears(&ear))
        });
        let mut threads: Vec<JoinHandle<()>> = hears.collect();
        let sends = shared.clone();
        threads.push(std::thread::spawn(move || sends.sends()));
        Parent { shared, threads }
    }

    /// Whether it sends again what it is asked for from now on.
    pub fn answers(&self, answers: bool) {
        self.shared.answers.store(answers, Ordering::Relaxed);
    }

    /// Packets of audio and video so far, those among them that were lost.
    pub fn sent(&self) -> [u64; 2] {
        self.shared.sent.each_ref().map(|sent| sent.load(Ordering::Relaxed))
    }

    /// Packets of audio and video that were lost on the way.
    pub fn lost(&self) -> [u64; 2] {
        self.shared.lost.each_ref().map(|lost| lost.load(Ordering::Relaxed))
    }

    /// What it was asked for so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Sends a packet of what it has kept, as it was, to the egress.
    pub fn sends_again(&self, kind: usize, nth: u64) {
        self.shared.again(kind, nth as u16);
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn sends(&self) {
        let begun = Instant::now();
        for tick in 0u64.. {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            self.send(1, tick, tick as u32 * 450);
            if tick.is_multiple_of(4) {
                self.send(0, tick / 4, tick as u32 / 4 * 960);
            }
            let due = begun + TICK * (tick as u32 + 1);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    fn send(&self, kind: usize, nth: u64, timestamp: u32) {
        let packet = packet(self.ssrcs[kind], kind, nth, timestamp);
        {
            let mut kept = self.kept[kind].lock().unwrap();
            kept.insert(nth as u16, packet.clone());
            kept.remove(&(nth.wrapping_sub(KEPT) as u16));
        }
        if (self.loses)(kind, nth) {
            self.lost[kind].fetch_add(1, Ordering::Relaxed);
        } else {
            self.media[kind].send_to(&packet, (HOST, RTP[kind])).unwrap();
        }
        self.sent[kind].fetch_add(1, Ordering::Relaxed);
    }

    fn again(&self, kind: usize, number: u16) {
        if let Some(packet) = self.kept[kind].lock().unwrap().get(&number) {
            self.media[kind].send_to(packet, (HOST, RTP[kind])).unwrap();
        }
    }

    fn hears(&self, ear: &UdpSocket) {
        let to = ear.local_addr().unwrap().port();
        let mut packet = [0; 1500];
        while !self.ended.load(Ordering::Relaxed) {
            let Ok((length, from)) = ear.recv_from(&mut packet) else { continue };
            for (ssrc, numbers) in asked_for(&packet[..length]) {
                let known = self.ssrcs.iter().position(|known| *known == ssrc);
                let request = Request { at: Instant::now(), from, to, ssrc, numbers: numbers.clone() };
                self.requests.lock().unwrap().push(request);
                if let (Some(kind), true) = (known, self.answers.load(Ordering::Relaxed)) {
                    numbers.into_iter().for_each(|number| self.again(kind, number));
                }
            }
        }
    }
}

/// A picture, or some sound, in a packet. What it is about is in its payload, so that each is another.
fn packet(ssrc: u32, kind: usize, nth: u64, timestamp: u32) -> Vec<u8> {
    let (second, payload): (u8, &[u8]) = match (kind, nth % KEYFRAME_EVERY) {
        (0, _) => (111, &[0x78]),
        // RFC 7741: a whole picture of 16 by 16; the others need those before.
        (_, 0) => (0x80 | 96, &[0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0]),
        _ => (0x80 | 96, &[0x10, 0x11, 0, 0]),
    };
    let mut packet = vec![0x80, second];
    packet.extend((nth as u16).to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet.extend(nth.to_be_bytes());
    packet
}

/// Generic NACKs (RFC 4585 section 6.2.1) in a packet: of which stream, which numbers.
fn asked_for(mut packet: &[u8]) -> Vec<(u32, Vec<u16>)> {
    let mut asked = Vec::new();
    while let [first, kind, high, low, ..] = *packet {
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let Some(part) = packet.get(..length) else { break };
        if (first, kind) == (0x81, 205) {
            let ssrc = u32::from_be_bytes(part[8..12].try_into().unwrap());
            let numbers = part[12..].chunks(4).flat_map(|entry| {
                let [first, more] = [0, 2].map(|at: usize| u16::from_be_bytes([entry[at], entry[at + 1]]));
                let others = (0..16).filter(move |bit| more >> bit & 1 != 0);
                std::iter::once(first).chain(others.map(move |bit| first.wrapping_add(bit + 1)))
            });
            asked.push((ssrc, numbers.collect()));
        }
        packet = &packet[length..];
    }
    asked
}
