//! The media port's sockets, and what the standard library does not say of them.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

/// Bytes of the longest packet that a viewer has to send: a datagram of Ethernet's size and some.
pub(crate) const LONGEST: usize = 2048;

/// What the kernel keeps of what has come and was not read yet: some 10,000 small packets.
const RECEIVE_BUFFER: libc::c_int = 4 * 1024 * 1024;
/// What the kernel keeps of what was sent and has not left yet: packets of a frame for a thousand viewers.
pub const SEND_BUFFER: usize = 8 * 1024 * 1024;

/// Both sockets of the media port. With port 0 in `listen` the kernel chooses one that is free for both.
pub(crate) fn bind(listen: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind(listen)?;
        match TcpListener::bind(udp.local_addr()?) {
            Ok(tcp) => break (udp, tcp),
            // The number was free for UDP only.
            Err(_) if listen.port() == 0 && tries < 16 => tries += 1,
            Err(error) => return Err(error),
        }
    };
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    for (forced, plain, bytes) in [
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, RECEIVE_BUFFER),
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, SEND_BUFFER as libc::c_int),
    ] {
        // Without the right to it as much as the machine lets everybody have.
        set(udp.as_raw_fd(), libc::SOL_SOCKET, forced, bytes)
            .or_else(|_| set(udp.as_raw_fd(), libc::SOL_SOCKET, plain, bytes))?;
    }
    Ok((udp, tcp))
}

/// The kernel takes no more than about so many bytes that it cannot send yet.
pub(crate) fn keep_unsent_below(stream: &TcpStream, bytes: u32) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, bytes)
}

fn set(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: `value` lives until the call returns, and `length` is its size; a wrong `fd` is an error.
    let done = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
