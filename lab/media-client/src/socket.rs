//! UDP sockets of viewers: many packets by one system call, and the time at which the kernel had each of them, so that a gap is
//! the sender's and not this process'.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};

/// What a socket holds while its thread is elsewhere: a keyframe and some more. Beyond `rmem_max` only for root.
const HELD: usize = 2 << 20;
/// Buffers of one call.
const BATCH: usize = 16;
/// Bytes of each: with UDP_GRO the kernel joins packets of one sender up to this.
const BUFFER: usize = 64 * 1024;
/// Control messages: the time, and how long each of the joined packets is.
const CONTROL: usize = 128;

/// A socket of a viewer or a publisher on that address, any port.
pub fn open(address: std::net::IpAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((address, 0)).context("a socket")?;
    socket.set_nonblocking(true)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &HELD).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &HELD).context("SO_RCVBUF")?;
    }
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).context("SO_TIMESTAMPNS")?;
    // Older kernels do without.
    let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
    Ok(socket)
}

/// Our address as that peer sees it.
pub fn address_towards(peer: SocketAddr) -> Result<std::net::IpAddr> {
    let any: SocketAddr = if peer.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer).with_context(|| format!("no way to {peer}"))?;
    Ok(socket.local_addr()?.ip())
}

/// Nanoseconds since the epoch, as the kernel stamps packets.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now: Duration| now.as_nanos() as u64)
}

/// Room for what one call brings.
pub struct Batch {
    buffers: Vec<u8>,
    controls: Vec<[u64; CONTROL / 8]>,
    addresses: Vec<libc::sockaddr_storage>,
}

impl Batch {
    pub fn new() -> Self {
        // SAFETY: sockaddr_storage is plain bytes, for which all zero is a value.
        let address = unsafe { MaybeUninit::<libc::sockaddr_storage>::zeroed().assume_init() };
        Self {
            buffers: vec![0; BATCH * BUFFER],
            controls: vec![[0; CONTROL / 8]; BATCH],
            addresses: vec![address; BATCH],
        }
    }

    /// Takes what is there without waiting, and gives every packet, its source and its time to `each`. True when there may be
    /// more.
    pub fn receive(
        &mut self,
        socket: &UdpSocket,
        mut each: impl FnMut(&[u8], SocketAddr, u64),
    ) -> io::Result<bool> {
        // SAFETY: iovecs and headers are integers and pointers, for which all zero is a value; what is used is set below.
        let (mut iovecs, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
            unsafe { (mem::zeroed(), mem::zeroed()) };
        let parts = self.buffers.chunks_exact_mut(BUFFER).zip(&mut self.controls).zip(&mut self.addresses);
        for (((buffer, control), address), (iovec, header)) in parts.zip(iovecs.iter_mut().zip(&mut headers))
        {
            iovec.iov_base = buffer.as_mut_ptr().cast();
            iovec.iov_len = BUFFER;
            header.msg_hdr.msg_name = (&raw mut *address).cast();
            header.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iov = iovec;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL;
        }
        // SAFETY: every header points at an iovec, buffer, control buffer and address of its own that outlive the call, with
        // their true lengths; no timeout is given.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) };
        }
        for (index, header) in headers[..received as usize].iter().enumerate() {
            let Some(source) = socket_address(&self.addresses[index]) else { continue };
            let (time, length) = notes(&header.msg_hdr);
            let whole = &self.buffers[index * BUFFER..][..(header.msg_len as usize).min(BUFFER)];
            for packet in whole.chunks(length.unwrap_or(BUFFER)) {
                each(packet, source, time.unwrap_or_else(now));
            }
        }
        Ok(received as usize == BATCH)
    }
}

/// When it came, and how long each of the packets in it is but the last.
fn notes(header: &libc::msghdr) -> (Option<u64>, Option<usize>) {
    let (mut time, mut length) = (None, None);
    // SAFETY: the header is one that the kernel has filled in, and its control buffer lives; CMSG_NXTHDR stays within it.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: null or a whole control message header inside that buffer, which is aligned for it.
    while let Some(message) = unsafe { next.as_ref() } {
        // SAFETY: data follows the header; its length is that of the type by (level, type), as the kernel writes them. It need
        // not be aligned.
        unsafe {
            let data = libc::CMSG_DATA(next);
            match (message.cmsg_level, message.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let at = data.cast::<libc::timespec>().read_unaligned();
                    time = Some(at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64);
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    length = usize::try_from(data.cast::<libc::c_int>().read_unaligned()).ok();
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    (time, length.filter(|length| *length > 0))
}

fn socket_address(address: &libc::sockaddr_storage) -> Option<SocketAddr> {
    use nix::sys::socket::{SockaddrLike, SockaddrStorage};
    // SAFETY: the storage is fully initialised and the kernel wrote an address of the family it names; without a length nix
    // goes by that family.
    let storage = unsafe { SockaddrStorage::from_raw((&raw const *address).cast(), None)? };
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::from(std::net::SocketAddrV4::from(*v4)));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::from(std::net::SocketAddrV6::from(*v6))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_the_kernel_has_joined_come_one_by_one() {
        let receiver = open([127, 0, 0, 1].into()).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        setsockopt(&sender, sockopt::UdpGsoSegment, &100).unwrap();
        let before = now();
        sender.send_to(&[7; 250], receiver.local_addr().unwrap()).unwrap();
        let mut batch = Batch::new();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            batch
                .receive(&receiver, |packet, source, at| {
                    assert_eq!(source, sender.local_addr().unwrap());
                    assert!(at >= before && at <= now());
                    seen.push(packet.len());
                })
                .unwrap();
        }
        assert_eq!(seen, [100, 100, 50]);
    }
}
