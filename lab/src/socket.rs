//! UDP sockets in batches: `sendmmsg`, `recvmmsg` and the options std does not offer.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, bind, setsockopt, socket, sockopt,
};

/// Most packets of one `recvmmsg`.
pub(crate) const RECEIVE_BATCH: usize = 64;
const BUFFER: usize = 2048;
/// Position of the drop counter in the array of `SO_MEMINFO` (linux/sock_diag.h, `SK_MEMINFO_DROPS`).
const MEMINFO_DROPS: usize = 8;
const MEMINFO_LENGTH: usize = 9;

/// A bound UDP socket in the namespace of the calling thread; an IPv6 one leaves IPv4 alone.
pub(crate) fn bound(address: SocketAddr) -> Result<UdpSocket> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd: OwnedFd =
        socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).context("a UDP socket")?;
    if address.is_ipv6() {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true).context("IPV6_V6ONLY")?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address)).with_context(|| format!("binding {address}"))?;
    Ok(fd.into())
}

/// Sends IPv4 packets without a UDP checksum. (IPv6 must have one.)
pub(crate) fn disable_checksum(socket: &UdpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: an open fd, and a value that lives through the call with its right length.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NO_CHECK,
            (&raw const on).cast(),
            mem::size_of_val(&on) as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Packets the kernel dropped at this socket: the number that `SO_RXQ_OVFL` would bring with the *next*
/// packet, which after an overflow at the end never comes.
pub fn drops(socket: &UdpSocket) -> io::Result<u64> {
    let mut info = [0_u32; MEMINFO_LENGTH];
    let mut length = mem::size_of_val(&info) as libc::socklen_t;
    // SAFETY: an open fd, and an array whose length in bytes is given and respected by the kernel.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(u64::from(info[MEMINFO_DROPS])) }
}

/// Sends some packets by one system call; gives how many went, which may be fewer.
pub(crate) fn send(socket: &UdpSocket, packets: &[(&[u8], &SockaddrStorage)]) -> io::Result<usize> {
    let mut buffers: Vec<libc::iovec> = packets
        .iter()
        .map(|(packet, _)| libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = packets
        .iter()
        .zip(&mut buffers)
        .map(|((_, address), buffer)| message(address.as_ptr().cast_mut().cast(), address.len(), buffer))
        .collect();
    // SAFETY: every header points at an iovec, packet and address that are borrowed beyond this call;
    // the kernel only reads what sendmmsg is given, apart from `msg_len`.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), headers.len() as u32, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}

/// Reusable buffers for receiving.
pub(crate) struct Receiver {
    buffers: Vec<[u8; BUFFER]>,
    addresses: Vec<libc::sockaddr_storage>,
    lengths: Vec<usize>,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        // SAFETY: sockaddr_storage is plain bytes, for which all zero is a value.
        let address = unsafe { MaybeUninit::<libc::sockaddr_storage>::zeroed().assume_init() };
        Self {
            buffers: vec![[0; BUFFER]; RECEIVE_BATCH],
            addresses: vec![address; RECEIVE_BATCH],
            lengths: Vec::with_capacity(RECEIVE_BATCH),
        }
    }

    /// Takes what is there, at most [`RECEIVE_BATCH`] packets, without waiting.
    pub(crate) fn receive(
        &mut self,
        socket: &UdpSocket,
    ) -> io::Result<impl Iterator<Item = (&[u8], SocketAddr)>> {
        let mut iovecs: Vec<libc::iovec> = self
            .buffers
            .iter_mut()
            .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: BUFFER })
            .collect();
        let length = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        let mut headers: Vec<libc::mmsghdr> = self
            .addresses
            .iter_mut()
            .zip(&mut iovecs)
            .map(|(address, iovec)| message((&raw mut *address).cast(), length, iovec))
            .collect();
        // SAFETY: every header points at an iovec, buffer and address of its own that outlive the call,
        // with their true lengths; no timeout is given.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        self.lengths.clear();
        if received < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(error);
            }
        } else {
            self.lengths.extend(headers[..received as usize].iter().map(|header| header.msg_len as usize));
        }
        let filled = self.lengths.iter().zip(&self.buffers).zip(&self.addresses);
        Ok(filled
            .filter_map(|((length, buffer), address)| Some((&buffer[..*length], socket_address(address)?))))
    }
}

fn message(name: *mut libc::c_void, name_length: libc::socklen_t, iovec: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: mmsghdr is integers and pointers, for which all zero is a value (null, no control data).
    let mut header = unsafe { MaybeUninit::<libc::mmsghdr>::zeroed().assume_init() };
    header.msg_hdr.msg_name = name;
    header.msg_hdr.msg_namelen = name_length;
    header.msg_hdr.msg_iov = iovec;
    header.msg_hdr.msg_iovlen = 1;
    header
}

fn socket_address(address: &libc::sockaddr_storage) -> Option<SocketAddr> {
    // SAFETY: the storage is fully initialised and the kernel wrote an address of the family it names;
    // without a length nix goes by that family.
    let storage = unsafe { SockaddrStorage::from_raw((&raw const *address).cast(), None)? };
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::from(SocketAddrV4::from(*v4)));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::from(SocketAddrV6::from(*v6))))
}
