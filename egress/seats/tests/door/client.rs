//! A viewer: str0m, by UDP or by TCP.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use node::media::PerKind;
use seats::{Credentials, Extensions, Fingerprint, Peer, Seat, Server, Taken};
use str0m::config::Fingerprint as DtlsFingerprint;
use str0m::ice::IceCreds;
use str0m::media::{MediaKind, Mid};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// The viewer's numbers are others than the tree's.
pub const AUDIO: Stream =
    Stream { kind: MediaKind::Audio, mid: "0", payload_type: 111, rtx: None, ssrc: 0xa0d10 };
pub const VIDEO: Stream =
    Stream { kind: MediaKind::Video, mid: "1", payload_type: 96, rtx: Some(97), ssrc: 0x71de0 };

/// A stream as the viewer has it.
pub struct Stream {
    kind: MediaKind,
    mid: &'static str,
    payload_type: u8,
    rtx: Option<u8>,
    pub ssrc: u32,
}

impl Stream {
    fn taken(&self) -> Taken {
        Taken {
            mid: self.mid.to_owned(),
            payload_type: self.payload_type,
            rtx: self.rtx,
            ssrc: self.ssrc,
            rtx_ssrc: self.ssrc + 1,
            extensions: Extensions { mid: Some(4), transport_cc: Some(3), abs_send_time: Some(2) },
            nack: true,
            pli: true,
        }
    }
}

/// RFC 7983, and RFC 5761 section 4.
fn is_srtcp(packet: &[u8]) -> bool {
    matches!(packet, [128..=191, 192..=223, ..])
}

/// Where a server is reached from here: by IPv4, if it is by any address.
pub fn loopback(mut at: SocketAddr) -> SocketAddr {
    if at.ip().is_unspecified() {
        at.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    at
}

/// How a viewer comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Udp,
    Tcp,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

/// A viewer of a mountpoint.
pub struct Viewer {
    pub seat: Seat,
    pub rtc: Rtc,
    socket: Socket,
    own: SocketAddr,
    server: SocketAddr,
    /// Packets' payloads by their sequence numbers as the viewer extends them, of audio and of video.
    pub received: PerKind<BTreeMap<u64, Vec<u8>>>,
    /// SRTCP that it has sent, as it went out.
    pub reports: Vec<Vec<u8>>,
    /// It drops each packet of media that this says yes to, by its count.
    pub loses: fn(u64) -> bool,
    packets: u64,
}

impl Viewer {
    /// Is invited, and admitted at once. `begins`: with the DTLS handshake.
    pub fn join(server: &Server, mountpoint: u64, by: By, begins: bool) -> Viewer {
        Viewer::join_at(server, loopback(server.media_port()), mountpoint, by, begins)
    }

    /// As [`Viewer::join`], at this address of the server.
    pub fn join_at(server: &Server, to: SocketAddr, mountpoint: u64, by: By, begins: bool) -> Viewer {
        let (mut viewer, peer) = Viewer::prepare(server, to, mountpoint, by, begins);
        server.admit(viewer.seat, peer, Duration::from_secs(10)).unwrap();
        viewer.act();
        viewer
    }

    fn prepare(server: &Server, to: SocketAddr, mountpoint: u64, by: By, begins: bool) -> (Viewer, Peer) {
        str0m::crypto::from_feature_flags().install_process_default();
        let invitation = server.invite(mountpoint).unwrap();
        let socket = match by {
            By::Udp => {
                let socket = UdpSocket::bind((loopback(server.media_port()).ip(), 0)).unwrap();
                // Nothing is taken from elsewhere, as by any player.
                socket.connect(to).unwrap();
                Socket::Udp(socket)
            }
            By::Tcp => {
                let stream = TcpStream::connect(to).unwrap();
                stream.set_nodelay(true).unwrap();
                Socket::Tcp(stream, Vec::new())
            }
        };
        let own = match &socket {
            Socket::Udp(socket) => socket.local_addr().unwrap(),
            Socket::Tcp(stream, _) => stream.local_addr().unwrap(),
        };
        let mut rtc = Rtc::builder()
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .set_rtp_mode(true)
            .build(Instant::now());
        let ours = match by {
            By::Udp => Candidate::host(own, "udp").unwrap(),
            By::Tcp => Candidate::builder().tcp().host(own).tcptype(TcpType::Active).build().unwrap(),
        };
        rtc.add_local_candidate(ours);
        let protocol = match by {
            By::Udp => " udp ",
            By::Tcp => " tcp ",
        };
        for candidate in server.candidates().iter().filter(|c| c.contains(protocol)) {
            let candidate = Candidate::from_sdp_string(&format!("candidate:{candidate}")).unwrap();
            rtc.add_remote_candidate(candidate);
        }
        let mut api = rtc.direct_api();
        let ice = api.local_ice_credentials();
        api.set_remote_ice_credentials(IceCreds {
            ufrag: invitation.ice.user.clone(),
            pass: invitation.ice.password.clone(),
        });
        api.set_ice_controlling(true);
        let theirs = server.fingerprint();
        api.set_remote_fingerprint(DtlsFingerprint {
            hash_func: theirs.algorithm.clone(),
            bytes: theirs.bytes.clone(),
        });
        let fingerprint = api.local_dtls_fingerprint();
        let fingerprint =
            Fingerprint { algorithm: fingerprint.hash_func.clone(), bytes: fingerprint.bytes.clone() };
        api.start_dtls(begins).unwrap();
        for stream in [AUDIO, VIDEO] {
            let mid = Mid::from(stream.mid);
            api.declare_media(mid, stream.kind);
            let rtx = stream.rtx.map(|_| (stream.ssrc + 1).into());
            api.expect_stream_rx(stream.ssrc.into(), rtx, mid, None);
        }
        let viewer = Viewer {
            seat: invitation.seat,
            rtc,
            socket,
            own,
            server: to,
            received: PerKind::default(),
            reports: Vec::new(),
            loses: |_| false,
            packets: 0,
        };
        let peer = Peer {
            ice: Credentials { user: ice.ufrag, password: ice.pass },
            fingerprints: vec![fingerprint],
            begins,
            media: PerKind { audio: Some(AUDIO.taken()), video: Some(VIDEO.taken()) },
        };
        (viewer, peer)
    }

    /// Takes part until `done`; panics when that takes longer than half a minute.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Viewer) -> bool) {
        let began = Instant::now();
        while !done(self) {
            assert!(began.elapsed() < Duration::from_secs(30), "{what}: never");
            self.take_part(Duration::from_millis(20));
        }
    }

    /// Sends what it has to send, and takes what comes within this time.
    pub fn take_part(&mut self, within: Duration) {
        let until = Instant::now() + within;
        loop {
            let due = self.act();
            let wait = due.min(until).saturating_duration_since(Instant::now());
            match self.receive(wait.max(Duration::from_millis(1))) {
                Some(packets) => {
                    for packet in packets {
                        self.take(&packet);
                        self.act();
                    }
                }
                None => self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap(),
            }
            if Instant::now() >= until {
                self.act();
                return;
            }
        }
    }

    fn take(&mut self, packet: &[u8]) {
        if packet.first().is_some_and(|first| (128..=191).contains(first)) {
            self.packets += 1;
            if (self.loses)(self.packets) {
                return;
            }
        }
        let proto = match self.socket {
            Socket::Udp(_) => Protocol::Udp,
            Socket::Tcp(..) => Protocol::Tcp,
        };
        let Ok(contents) = packet.try_into() else { return };
        let received = Receive { proto, source: self.server, destination: self.own, contents };
        self.rtc.handle_input(Input::Receive(Instant::now(), received)).unwrap();
    }

    fn act(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(due) => return due,
                Output::Transmit(sent) => {
                    if is_srtcp(&sent.contents) {
                        self.reports.push(sent.contents.to_vec());
                    }
                    self.send(&sent.contents);
                }
                Output::Event(Event::RtpPacket(packet)) => {
                    let received = match *packet.header.ssrc {
                        ssrc if ssrc == AUDIO.ssrc => &mut self.received.audio,
                        _ => &mut self.received.video,
                    };
                    let twice = received.insert(*packet.seq_no, packet.payload.to_vec());
                    assert!(twice.is_none(), "{} came twice", packet.seq_no);
                }
                Output::Event(_) => {}
            }
        }
    }

    /// Sends what it has to send.
    pub fn say(&mut self) {
        self.act();
    }

    /// Sends this, whatever it is.
    pub fn send(&mut self, packet: &[u8]) {
        match &mut self.socket {
            Socket::Udp(socket) => drop(socket.send(packet)),
            Socket::Tcp(stream, _) => {
                let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
                // It may have been closed.
                let _ = stream.write_all(&[&length, packet].concat());
            }
        }
    }

    fn receive(&mut self, within: Duration) -> Option<Vec<Vec<u8>>> {
        let mut bytes = [0; 65_536];
        match &mut self.socket {
            Socket::Udp(socket) => {
                socket.set_read_timeout(Some(within)).unwrap();
                let length = socket.recv(&mut bytes).ok()?;
                Some(vec![bytes[..length].to_vec()])
            }
            Socket::Tcp(stream, waiting) => {
                stream.set_read_timeout(Some(within)).unwrap();
                let length = match stream.read(&mut bytes) {
                    Ok(0) => return None,
                    Ok(length) => length,
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionReset));
                        return None;
                    }
                };
                waiting.extend_from_slice(&bytes[..length]);
                let mut packets = Vec::new();
                while let Some((length, rest)) = waiting.split_first_chunk::<2>() {
                    let length = usize::from(u16::from_be_bytes(*length));
                    let Some(packet) = rest.get(..length) else { break };
                    packets.push(packet.to_vec());
                    waiting.drain(..2 + length);
                }
                Some(packets)
            }
        }
    }
}
