//! Many datagrams by one system call.

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use super::sockets::LONGEST;

/// Datagrams of a batch.
const SIZE: usize = 64;

/// Room for what goes with a datagram: the address that it came to.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Room for a batch. What is in it is overwritten by the next.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    from: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
}

/// One that came.
pub(crate) struct Datagram<'b> {
    pub(crate) from: SocketAddr,
    /// The address of ours that it came to, if the socket was told to say so.
    pub(crate) to: Option<IpAddr>,
    /// None: it is longer than any that we take.
    pub(crate) bytes: Option<&'b [u8]>,
}

impl Batch {
    pub(crate) fn new() -> Batch {
        Batch {
            bytes: vec![0; SIZE * LONGEST],
            // SAFETY: all zeros is an address of no family.
            from: vec![unsafe { zeroed() }; SIZE],
            controls: vec![Control([0; 64]); SIZE],
        }
    }

    /// What has come, without waiting; nothing if there is nothing. The second: there may be more.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> (impl Iterator<Item = Datagram<'_>>, bool) {
        let mut slices = [const { MaybeUninit::<libc::iovec>::uninit() }; SIZE];
        // SAFETY: all zeros is a message without buffers.
        let mut messages: [libc::mmsghdr; SIZE] = unsafe { zeroed() };
        let buffers = self.bytes.chunks_exact_mut(LONGEST);
        let parts = slices.iter_mut().zip(&mut self.from).zip(&mut self.controls).zip(buffers);
        for (message, (((slice, from), control), buffer)) in messages.iter_mut().zip(parts) {
            let header = &mut message.msg_hdr;
            header.msg_iov =
                slice.write(libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: LONGEST });
            header.msg_iovlen = 1;
            header.msg_name = std::ptr::from_mut(from).cast();
            header.msg_namelen = size_of_val(from) as libc::socklen_t;
            header.msg_control = std::ptr::from_mut(control).cast();
            header.msg_controllen = size_of_val(control) as _;
        }
        let mut tries = 0;
        let came = loop {
            // SAFETY: each message points to a slice of `slices`, a buffer of `self.bytes`, an address of `self.from` and room in
            // `self.controls`; all of them outlive the call, and have the lengths that are said. No time-out is given.
            let came = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    messages.as_mut_ptr(),
                    SIZE as libc::c_uint,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                )
            };
            // An interruption, or an error that the network has told of an earlier datagram, says nothing about the next ones.
            tries += 1;
            let nothing = || io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock;
            if came >= 0 || nothing() || tries == 8 {
                break usize::try_from(came).unwrap_or(0);
            }
        };
        let come = messages.map(|message| {
            let cut = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            ((!cut).then_some(message.msg_len as usize), to(&message.msg_hdr))
        });
        let datagrams = self.bytes.chunks_exact(LONGEST).zip(&self.from).zip(come);
        let datagrams = datagrams.take(came).filter_map(|((bytes, from), (length, to))| {
            Some(Datagram { from: address(from)?, to, bytes: length.map(|length| &bytes[..length]) })
        });
        (datagrams, came == SIZE)
    }
}

/// The address that a message came to (`IP_PKTINFO`, `IPV6_PKTINFO`).
fn to(message: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the room for control messages is there as long as the batch, and the kernel has filled as much of it as `message` says,
    // with whole messages.
    let first = unsafe { libc::CMSG_FIRSTHDR(message) };
    if first.is_null() {
        return None;
    }
    // SAFETY: as above; it is as strictly aligned as the room.
    let header = unsafe { &*first };
    // SAFETY: as above.
    let data = unsafe { libc::CMSG_DATA(first) };
    match (header.cmsg_level, header.cmsg_type) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            // SAFETY: this is what such a message has.
            let info = unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into())
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            // SAFETY: this is what such a message has.
            let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
            Some(IpAddr::from(info.ipi6_addr.s6_addr).to_canonical())
        }
        _ => None,
    }
}

fn address(from: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let from = std::ptr::from_ref(from);
    match libc::c_int::from(
        // SAFETY: it is a reference.
        unsafe { (*from).ss_family },
    ) {
        libc::AF_INET => {
            // SAFETY: the family says that it is one, and it is at least as large and as strictly aligned.
            let from = unsafe { &*from.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr));
            Some((ip, u16::from_be(from.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let from = unsafe { &*from.cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(from.sin6_addr.s6_addr);
            let port = u16::from_be(from.sin6_port);
            Some(SocketAddrV6::new(ip, port, 0, from.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_whole_and_with_their_senders() {
        for here in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(socket) = UdpSocket::bind(here) else {
                assert!(here.starts_with('['), "no IPv4");
                continue;
            };
            let mut to = socket.local_addr().unwrap();
            let loopback: SocketAddr = match here {
                "127.0.0.1:0" | "[::]:0" => "127.0.0.1:0".parse().unwrap(),
                _ => "[::1]:0".parse().unwrap(),
            };
            to.set_ip(loopback.ip());
            let sender = UdpSocket::bind(loopback).unwrap();
            for length in [0, 1, LONGEST, LONGEST + 1] {
                sender.send_to(&vec![7; length], to).unwrap();
            }
            let mut batch = Batch::new();
            let (datagrams, more) = batch.receive(&socket);
            let datagrams: Vec<_> = datagrams
                .map(|d| {
                    let from = SocketAddr::new(d.from.ip().to_canonical(), d.from.port());
                    assert_eq!(from, sender.local_addr().unwrap());
                    d.bytes.map(<[u8]>::len)
                })
                .collect();
            assert_eq!(datagrams, [Some(0), Some(1), Some(LONGEST), None]);
            assert!(!more);
            assert_eq!(batch.receive(&socket).0.count(), 0);
        }
    }
}
