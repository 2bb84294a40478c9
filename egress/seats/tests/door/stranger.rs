//! Who comes to the media port with something else than a viewer has: packets by hand.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use is::stun::{StunMessage, TransId};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream};
use seats::{Credentials, Peer, Seat, Server};

use crate::client::{By, Viewer};
use crate::studio::MOUNTPOINT;

/// A binding request that nominates.
pub fn check(ice: &Credentials) -> Vec<u8> {
    let user = format!("{}:theirs", ice.user);
    write(StunMessage::binding_request(&user, TransId::new(), true, 1, 1, true), &ice.password)
}

/// Answers what the server asks next by this socket, by which it is known that somebody is there; what else comes before that is
/// passed over.
pub fn answer(socket: &UdpSocket, password: &str) {
    let mut packet = [0; 2000];
    loop {
        let length = socket.recv(&mut packet).expect("a question");
        if !packet.starts_with(&[0, 1]) {
            continue;
        }
        let question = StunMessage::parse(&packet[..length]).unwrap();
        assert!(question.verify(password.as_bytes(), hmac), "it is for us");
        let from = socket.peer_addr().unwrap();
        socket.send(&write(StunMessage::binding_reply(question.trans_id(), from), password)).unwrap();
        return;
    }
}

fn write(message: StunMessage<'_>, password: &str) -> Vec<u8> {
    let mut packet = vec![0; 300];
    let length = message.to_bytes(Some(password.as_bytes()), &mut packet, hmac).unwrap();
    packet.truncate(length);
    packet
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut signer = Signer::new(MessageDigest::sha1(), &PKey::hmac(key).unwrap()).unwrap();
    parts.iter().for_each(|part| signer.update(part).unwrap());
    signer.sign_to_vec().unwrap().try_into().unwrap()
}

/// The first flight of a DTLS client.
pub fn hello() -> Vec<u8> {
    #[derive(Default)]
    struct Wire(Vec<u8>);
    impl std::io::Read for Wire {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::WouldBlock.into())
        }
    }
    impl std::io::Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = bytes.to_vec();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut context = SslContext::builder(SslMethod::dtls()).unwrap();
    context.set_tlsext_use_srtp("SRTP_AEAD_AES_128_GCM").unwrap();
    let mut ssl = Ssl::new(&context.build()).unwrap();
    ssl.set_mtu(1200).unwrap();
    let mut stream = SslStream::new(ssl, Wire::default()).unwrap();
    assert!(stream.connect().is_err(), "nobody answers");
    stream.get_ref().0.clone()
}

/// Has a seat and has shown it by ICE; nothing else is known of it.
pub fn admitted(server: &Server, within: Duration) -> Option<(Seat, UdpSocket)> {
    let invitation = server.invite(MOUNTPOINT).ok()?;
    server.admit(invitation.seat, peer(), within).unwrap();
    // From an address of its own: whoever gets its port afterwards is not to hear what is meant for it.
    let socket = UdpSocket::bind("127.0.0.3:0").unwrap();
    socket.connect(server.media_port()).unwrap();
    socket.send(&check(&invitation.ice)).unwrap();
    answer(&socket, &peer().ice.password);
    Some((invitation.seat, socket))
}

/// Nobody in particular.
pub fn peer() -> Peer {
    Peer {
        ice: Credentials { user: "theirs".into(), password: "a password of theirs".into() },
        fingerprints: Vec::new(),
        begins: true,
        media: Default::default(),
    }
}

/// A TCP connection from this address of loopback.
pub fn call(server: &Server, from: [u8; 4]) -> TcpStream {
    let SocketAddr::V4(to) = server.media_port() else { panic!("IPv6") };
    let socket: OwnedFd =
        socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    use std::os::fd::AsRawFd;
    bind(socket.as_raw_fd(), &SockaddrIn::from(std::net::SocketAddrV4::new(from.into(), 0))).unwrap();
    connect(socket.as_raw_fd(), &SockaddrIn::from(to)).unwrap();
    TcpStream::from(socket)
}

/// Somebody else comes to watch.
pub fn another_can_join(server: &Server, by: By) {
    let mut viewer = Viewer::join(server, MOUNTPOINT, by, true);
    viewer.until("another watches", |viewer| !viewer.received.video.is_empty());
    server.leave(viewer.seat);
}

/// KiB that this process has in memory.
pub fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
