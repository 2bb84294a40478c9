//! The media port's two sockets.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{setsockopt, sockopt};
use node::port::{Transport, refusal};
use node::udp::{self, Versions};

/// Bytes of the longest packet that a viewer has to send: a datagram of Ethernet's size and some.
pub(crate) const LONGEST: usize = 2048;

/// Bytes that were sent and have not left yet: packets of a picture for a thousand viewers.
pub const SEND_BUFFER: usize = 8 << 20;

/// Both. With port 0 in `listen` the kernel chooses one that is free for both. An error says what is in the way.
pub(crate) fn bind(listen: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    let (udp, tcp) = loop {
        let udp = udp::bind(listen, Versions::Both)?;
        let at = udp.local_addr()?;
        match TcpListener::bind(at) {
            Ok(tcp) => break (udp, tcp),
            // The number was free for UDP only.
            Err(_) if listen.port() == 0 && tries < 16 => tries += 1,
            Err(error) => {
                let why = format!("TCP {at}: {}", refusal(Transport::Tcp, at, &error));
                return Err(io::Error::new(error.kind(), why));
            }
        }
    };
    tcp.set_nonblocking(true)?;
    // A viewer is answered from the address that it came to.
    match listen {
        SocketAddr::V4(listen) if listen.ip().is_unspecified() => {
            setsockopt(&udp, sockopt::Ipv4PacketInfo, &true)?;
        }
        SocketAddr::V6(listen) if listen.ip().is_unspecified() => {
            setsockopt(&udp, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        _ => {}
    }
    // Without the right to it as much as the machine lets everybody have.
    let _ = setsockopt(&udp, sockopt::SndBufForce, &SEND_BUFFER);
    Ok((udp, tcp))
}

/// The kernel takes no more than about so many bytes that it cannot send yet.
pub(crate) fn keep_unsent_below(stream: &TcpStream, bytes: u32) -> io::Result<()> {
    let length = size_of_val(&bytes) as libc::socklen_t;
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT);
    // SAFETY: `bytes` lives until the call returns, and `length` is its size.
    let done =
        unsafe { libc::setsockopt(stream.as_raw_fd(), level, name, (&raw const bytes).cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
