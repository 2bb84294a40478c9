//! A server's workers, and viewers that have keys and one socket.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use node::media::rtp::{HEADER, Header};
use node::media::{Codec, Kind, PerKind, Ssrc, VideoCodec};
use seats::send::Path;
use seats::srtp::{Keys, Opener, Profile, Sealer};
use seats::worker::{Arrival, Workers};
use seats::{Config, Extensions, Inlet, Notice, Seat, StreamSpec, Taken};

/// Whatever is awaited comes in this time, or never.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The mountpoint.
pub const STAGE: u64 = 7;

/// Workers with a mountpoint.
pub struct Server {
    pub workers: Workers,
    pub inlets: PerKind<Inlet>,
    pub notices: Receiver<Notice>,
    pub address: SocketAddr,
    numbers: PerKind<(u16, u32)>,
}

impl Server {
    pub fn start(threads: usize) -> Server {
        Server::with(threads, Duration::from_secs(2))
    }

    pub fn with(threads: usize, keyframe_cache: Duration) -> Server {
        let socket = node::udp::bind("127.0.0.1:0".parse().unwrap(), node::udp::Versions::One).unwrap();
        let address = socket.local_addr().unwrap();
        let config = Config {
            listen: address,
            advertise: Vec::new(),
            threads: NonZeroUsize::new(threads).unwrap(),
            history: Duration::from_secs(1),
            keyframe_cache,
        };
        let (notify, notices) = mpsc::channel();
        let notify = Arc::new(move |notice| drop(notify.send(notice)));
        let workers = Workers::start(&config, Arc::new(socket), notify).unwrap();
        let video = Codec::Video(VideoCodec::Vp8);
        let streams = PerKind {
            audio: StreamSpec { ssrc: Ssrc(7777), codec: Codec::Opus },
            video: StreamSpec { ssrc: Ssrc(8888), codec: video },
        };
        let inlets = workers.open(STAGE, streams);
        Server {
            workers,
            inlets,
            notices,
            address,
            numbers: PerKind { audio: (65_000, 1), video: (60_000, 9) },
        }
    }

    /// The next packets of a stream: a frame, or one of sound.
    pub fn push(&mut self, kind: Kind, packets: usize, keyframe: bool) {
        for packet in self.make(kind, packets, keyframe) {
            self.inlets[kind].push(&packet);
        }
    }

    /// The same, not pushed yet.
    pub fn make(&mut self, kind: Kind, packets: usize, keyframe: bool) -> Vec<Vec<u8>> {
        let (sequence, timestamp) = &mut self.numbers[kind];
        *timestamp = timestamp.wrapping_add(kind.clock_rate() / 50);
        let begin: &[u8] = if keyframe { &[0x10, 2, 0, 0, 0x9d, 1, 0x2a] } else { &[0x10, 3, 0, 0, 0, 0, 0] };
        let size = if kind == Kind::Audio { 80 } else { 1180 };
        let packet = |n: usize| {
            *sequence = sequence.wrapping_add(1);
            let header =
                Header { payload_type: 96, sequence: *sequence, timestamp: *timestamp, ssrc: Ssrc(1) };
            let mut packet = header.bytes().to_vec();
            packet[1] |= if n + 1 == packets { 0x80 } else { 0 };
            packet.extend_from_slice(if n == 0 { begin } else { &[0; 7] });
            packet.extend_from_slice(&sequence.to_be_bytes());
            packet.resize(HEADER + size, 0);
            packet
        };
        (0..packets).map(packet).collect()
    }

    /// The next, but that somebody gets the first of the picture.
    pub fn notice(&self) -> Notice {
        let notice = || self.notices.recv_timeout(PATIENCE).expect("a notice");
        std::iter::repeat_with(notice).find(|notice| !matches!(notice, Notice::Shown(_))).expect("for ever")
    }

    /// What was dropped, but for reasons that there was nothing of.
    pub fn dropped(&self) -> Vec<(&'static str, u64)> {
        self.workers.dropped().into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// SSRCs that a viewer in this seat is told of: sound, picture, and the picture's retransmissions.
pub fn ssrcs(seat: u64) -> [u32; 3] {
    [1, 2, 3].map(|n| seat as u32 * 10 + n)
}

pub fn taken(seat: u64) -> PerKind<Option<Taken>> {
    let [audio, video, rtx] = ssrcs(seat);
    let extensions = Extensions { mid: Some(4), transport_cc: None, abs_send_time: Some(3) };
    let taken = |mid: &str, payload_type, ssrc| Taken {
        mid: mid.into(),
        payload_type,
        rtx: None,
        ssrc,
        rtx_ssrc: 0,
        extensions,
        nack: false,
        pli: false,
    };
    PerKind {
        audio: Some(taken("0", 109, audio)),
        video: Some(Taken { rtx: Some(121), rtx_ssrc: rtx, nack: true, pli: true, ..taken("1", 120, video) }),
    }
}

pub fn keys(seat: u64, profile: Profile) -> Keys {
    let length = match profile {
        Profile::Aes128Gcm => 28,
        Profile::Aes256Gcm => 44,
        Profile::Aes128Cm => 30,
    };
    let of = |side: u8| (0..length).map(|n| n as u8 ^ seat as u8 ^ side).collect();
    Keys { profile, ours: of(1), theirs: of(2) }
}

/// Viewers on one socket, told apart by their SSRCs.
pub struct Viewers {
    socket: UdpSocket,
    all: HashMap<u64, Viewer>,
    buffer: Vec<u8>,
}

pub struct Viewer {
    opener: Opener,
    sealer: Sealer,
    /// By SSRC: extended sequence numbers in the order in which they came, and the publisher's numbers of each.
    pub came: HashMap<u32, Vec<(u64, u16)>>,
    pub rtcp: usize,
}

/// A packet that came: whose, and of which SSRC.
pub struct Came {
    pub seat: u64,
    pub ssrc: u32,
    pub packet: Vec<u8>,
}

impl Viewers {
    pub fn sit(server: &Server, seats: impl IntoIterator<Item = (u64, Profile)>) -> Viewers {
        let socket = node::udp::bind("127.0.0.1:0".parse().unwrap(), node::udp::Versions::One).unwrap();
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut viewers = Viewers { socket, all: HashMap::new(), buffer: vec![0; 2048] };
        for (seat, profile) in seats {
            viewers.add(server, seat, profile);
        }
        viewers
    }

    /// Gives how often a keyframe was asked for until the viewer was up.
    pub fn add(&mut self, server: &Server, seat: u64, profile: Profile) -> usize {
        let keys = keys(seat, profile);
        let viewer = Viewer {
            opener: Opener::new(&keys.turned()).unwrap(),
            sealer: Sealer::new(&keys.turned()).unwrap(),
            came: HashMap::new(),
            rtcp: 0,
        };
        self.all.insert(seat, viewer);
        let path = Path::Udp(self.socket.local_addr().unwrap());
        let arrival = Arrival {
            seat: Seat(seat),
            mountpoint: STAGE,
            media: taken(seat),
            keys,
            path,
            alive: Default::default(),
        };
        server.workers.sit(arrival);
        let mut requests = 0;
        loop {
            match server.notice() {
                Notice::Up(Seat(up)) if up == seat => return requests,
                Notice::KeyframeWanted(STAGE) => requests += 1,
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn of(&self, seat: u64) -> &Viewer {
        &self.all[&seat]
    }

    /// Says something to the workers, sealed.
    pub fn say(&mut self, server: &Server, seat: u64, compound: &[u8]) {
        let sealed = self.seal(seat, compound);
        server.workers.heard(Seat(seat), &sealed);
    }

    pub fn seal(&mut self, seat: u64, compound: &[u8]) -> Vec<u8> {
        let sealer = &mut self.all.get_mut(&seat).unwrap().sealer;
        let mut sealed = vec![0; compound.len() + sealer.profile().rtcp_overhead()];
        sealer.rtcp(compound, &mut sealed).unwrap();
        sealed
    }

    /// The next packet, opened. Nobody's, and what cannot be opened, is an error.
    pub fn next(&mut self) -> Came {
        let length = self.socket.recv(&mut self.buffer).expect("a packet");
        let packet = &mut self.buffer[..length];
        let rtcp = (192..=223).contains(&packet[1]);
        let at = if rtcp { 4 } else { 8 };
        let ssrc = u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
        let seat = u64::from(ssrc / 10);
        let viewer = self.all.get_mut(&seat).expect("a packet of a viewer");
        if rtcp {
            let packet = viewer.opener.rtcp(packet).unwrap().to_vec();
            viewer.rtcp += 1;
            return Came { seat, ssrc, packet };
        }
        let packet = viewer.opener.rtp(packet).unwrap().to_vec();
        let header = Header::read(&packet).unwrap();
        let payload = node::media::rtp::payload(&packet).unwrap();
        let original = u16::from_be_bytes([payload[7], payload[8]]);
        let came = viewer.came.entry(ssrc).or_default();
        let number = came.last().map_or(u64::from(header.sequence), |(last, _)| {
            last.wrapping_add_signed(i64::from(header.sequence.wrapping_sub(*last as u16).cast_signed()))
        });
        came.push((number, original));
        Came { seat, ssrc, packet }
    }

    /// Takes packets in until that many of RTP have come in all.
    pub fn until(&mut self, packets: usize) {
        let begin = Instant::now();
        while self.count() < packets {
            self.next();
            assert!(begin.elapsed() < PATIENCE, "{} of {packets} packets", self.count());
        }
    }

    pub fn count(&self) -> usize {
        self.all.values().flat_map(|viewer| viewer.came.values()).map(Vec::len).sum()
    }
}

/// A generic NACK.
pub fn nack(ssrc: u32, sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    [&[0x81, 205, 0, 3, 0, 0, 0, 1][..], &ssrc.to_be_bytes(), &[high, low, 0, 0]].concat()
}
