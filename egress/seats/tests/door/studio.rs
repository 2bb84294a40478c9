//! A server with a mountpoint, and what is broadcast there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use node::media::{Codec, PerKind, Ssrc, VideoCodec};
use seats::{Config, Inlet, Notice, Seat, Server, StreamSpec};

use crate::client::{By, Viewer};

pub const MOUNTPOINT: u64 = 7;

/// A server, its mountpoint, and what it has said.
pub struct Studio {
    pub server: Server,
    pub notices: Receiver<Notice>,
    pub broadcast: Broadcast,
}

/// What comes out of the tree.
pub struct Broadcast {
    inlets: PerKind<Inlet>,
    sent: PerKind<u64>,
}

impl Studio {
    pub fn start() -> Studio {
        Studio::at("127.0.0.1:0".parse().unwrap())
    }

    pub fn at(listen: SocketAddr) -> Studio {
        Studio::advertising(listen, Ipv4Addr::LOCALHOST)
    }

    /// Viewers are told of `address`, if the server listens at all.
    pub fn advertising(listen: SocketAddr, address: Ipv4Addr) -> Studio {
        let (tell, notices) = channel();
        let config = Config {
            listen,
            advertise: listen.ip().is_unspecified().then(|| address.into()).into_iter().collect(),
            threads: NonZeroUsize::MIN,
            history: Duration::from_secs(1),
            keyframe_cache: Duration::from_secs(2),
        };
        let server = Server::start(config, move |notice| drop(tell.send(notice))).unwrap();
        let inlets = server.open(
            MOUNTPOINT,
            PerKind {
                audio: StreamSpec { ssrc: Ssrc(1001), codec: Codec::Opus },
                video: StreamSpec { ssrc: Ssrc(1002), codec: Codec::Video(VideoCodec::Vp8) },
            },
        );
        Studio { server, notices, broadcast: Broadcast { inlets, sent: PerKind::default() } }
    }

    /// Waits for a notice; others before it are forgotten.
    pub fn wait(&self, what: &str, is: impl Fn(&Notice) -> bool) -> Notice {
        let until = Instant::now() + Duration::from_secs(45);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.notices.recv_timeout(left) {
                Ok(notice) if is(&notice) => return notice,
                Ok(_) => {}
                Err(_) => panic!("{what}: never"),
            }
        }
    }

    /// Waits until all of these are gone.
    pub fn wait_for_the_end_of(&self, seats: impl IntoIterator<Item = Seat>) {
        let mut seats: BTreeSet<Seat> = seats.into_iter().collect();
        while !seats.is_empty() {
            let gone = self.wait("gone", |notice| matches!(notice, Notice::Gone(..)));
            if let Notice::Gone(seat, _) = gone {
                seats.remove(&seat);
            }
        }
    }

    /// Lets somebody watch while something happens to the server, for as long as that takes: it loses nothing.
    pub fn watched_while<T: Send>(&mut self, what: impl FnOnce(&Server) -> T + Send) -> T {
        let Studio { server, broadcast, .. } = self;
        let mut viewer = Viewer::join(server, MOUNTPOINT, By::Udp, true);
        viewer.until("it watches", |viewer| {
            broadcast.frame();
            !viewer.received.video.is_empty()
        });
        let result = thread::scope(|scope| {
            let happens = scope.spawn(|| what(server));
            while !happens.is_finished() {
                broadcast.frame();
                viewer.take_part(Duration::from_millis(10));
            }
            happens.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let before = viewer.received.video.len();
        viewer.until("it goes on watching", |viewer| {
            broadcast.frame();
            viewer.received.video.len() > before + 100
        });
        viewer.until("it has all of it", |v| is_whole(&v.received.video) && is_whole(&v.received.audio));
        server.leave(viewer.seat);
        result
    }
}

/// How often something was dropped for this reason.
pub fn dropped(server: &Server, reason: &str) -> u64 {
    let dropped = server.dropped();
    dropped.iter().find(|(name, _)| *name == reason).unwrap_or_else(|| panic!("{dropped:?}")).1
}

/// Numbers go up by one, and so do the packets.
pub fn is_whole(received: &BTreeMap<u64, Vec<u8>>) -> bool {
    let all: Vec<(u64, u64)> = received.iter().map(|(sequence, p)| (*sequence, number(p))).collect();
    all.windows(2).all(|two| two[1].0 == two[0].0 + 1 && two[1].1 == two[0].1 + 1)
}

/// Waits until something is so.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(45), "{what}: never");
        thread::sleep(Duration::from_millis(1));
    }
}

impl Broadcast {
    /// Number of the last packet of video.
    pub fn newest(&self) -> u64 {
        self.sent.video - 1
    }

    /// One frame of video in three packets, every fifth a keyframe, and one packet of audio.
    pub fn frame(&mut self) {
        let frame = self.sent.video / 3;
        for part in 0..3_u8 {
            let first = part == 0;
            // RFC 7741 section 4.2, and the frame header of RFC 6386 section 9.1.
            let descriptor = if first { 0x10 } else { 0 };
            let delta = u8::from(!frame.is_multiple_of(5));
            let begin = [descriptor, delta, 0, 0, 0x9d, 0x01, 0x2a];
            let content = [&begin, &payload(self.sent.video)[..]].concat();
            let packet = rtp(96, part == 2, self.sent.video, frame * 3000, 1002, &content);
            self.inlets.video.push(&packet);
            self.sent.video += 1;
        }
        let packet = rtp(111, false, self.sent.audio, self.sent.audio * 960, 1001, &payload(self.sent.audio));
        self.inlets.audio.push(&packet);
        self.sent.audio += 1;
    }
}

/// Some hundred bytes that no other packet has.
fn payload(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(100)
}

/// Which packet that was, by the end of its payload.
pub fn number(payload: &[u8]) -> u64 {
    u64::from_be_bytes(*payload.last_chunk().unwrap())
}

fn rtp(payload_type: u8, marker: bool, number: u64, timestamp: u64, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let marker = if marker { 0x80 } else { 0 };
    let mut packet = vec![0x80, marker | payload_type];
    packet.extend_from_slice(&(number as u16).to_be_bytes());
    packet.extend_from_slice(&(timestamp as u32).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}
