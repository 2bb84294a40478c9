//! sendmmsg, and what goes with a message: the length of a segment, the address of ours that it comes from. The `unsafe` of sending
//! is here.

use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::ops::RangeFrom;
use std::os::fd::{AsFd, AsRawFd};

use super::Path;
use libc::{c_int, c_void, cmsghdr, iovec, mmsghdr};
use nix::sys::socket::{SockaddrIn, SockaddrIn6, SockaddrLike};

/// Most messages of one sendmmsg; the kernel takes no more (UIO_MAXIOV).
pub const MOST: usize = 1024;

/// Whether the kernel knows UDP_SEGMENT (Linux 4.18). One that does not would take no notice of it, and send several packets as one.
pub fn knows_segments(socket: &UdpSocket) -> bool {
    let mut value: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `length` bytes to `value` and the length to `length`.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_UDP, libc::UDP_SEGMENT, (&raw mut value).cast(), &raw mut length)
    };
    result == 0
}

/// A destination as the kernel wants it, for a socket of either IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    to: To,
    /// The address of ours that packets come from, if the kernel is not to choose.
    from: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    V4(SockaddrIn),
    V6(SockaddrIn6),
}

impl Name {
    /// `None` for an IPv6 address at an IPv4 socket, and for a connection.
    pub fn of(path: &Path, v6: bool) -> Option<Name> {
        let (to, from) = match path {
            Path::Udp(to) => (*to, None),
            Path::UdpFrom(to, from) => (*to, Some(*from)),
            Path::Tcp(_) => return None,
        };
        let to = match (to, v6) {
            (SocketAddr::V4(to), false) => To::V4(to.into()),
            (SocketAddr::V4(to), true) => {
                let mapped = SocketAddrV6::new(to.ip().to_ipv6_mapped(), to.port(), 0, 0);
                To::V6(mapped.into())
            }
            (SocketAddr::V6(to), true) => To::V6(to.into()),
            (SocketAddr::V6(_), false) => return None,
        };
        Some(Name { to, from })
    }

    fn raw(&self) -> (*const c_void, libc::socklen_t) {
        match &self.to {
            To::V4(name) => (name.as_ptr().cast(), name.len()),
            To::V6(name) => (name.as_ptr().cast(), name.len()),
        }
    }
}

/// Packets to one destination, one behind the other.
#[derive(Clone, Copy)]
pub struct Datagrams<'a> {
    pub to: Name,
    pub bytes: &'a [u8],
    /// How long each but the last is; `None` if it is one.
    pub segment: Option<u16>,
}

/// What goes with a message.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control {
    bytes: [u8; Control::ROOM],
    length: usize,
}

impl Control {
    /// For the length of a segment, and an address of either IP version.
    const ROOM: usize = Control::space::<u16>() + Control::space::<libc::in6_pktinfo>();

    const fn space<T>() -> usize {
        // SAFETY: arithmetic only.
        unsafe { libc::CMSG_SPACE(size_of::<T>() as _) as usize }
    }

    fn of(message: &Datagrams<'_>) -> Control {
        let mut control = Control { bytes: [0; Control::ROOM], length: 0 };
        if let Some(length) = message.segment {
            control.add(libc::SOL_UDP, libc::UDP_SEGMENT, length);
        }
        match (message.to.to, message.to.from) {
            (To::V4(_), Some(IpAddr::V4(from))) => {
                let from = libc::in_addr { s_addr: u32::from(from).to_be() };
                let any = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: from, ipi_addr: any };
                control.add(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            (To::V6(_), Some(from)) => {
                let from = match from {
                    IpAddr::V4(from) => from.to_ipv6_mapped(),
                    IpAddr::V6(from) => from,
                };
                let from = libc::in6_addr { s6_addr: from.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: from, ipi6_ifindex: 0 };
                control.add(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            (_, None) | (To::V4(_), Some(IpAddr::V6(_))) => {}
        }
        control
    }

    fn add<T: Copy>(&mut self, level: c_int, kind: c_int, value: T) {
        let room = &mut self.bytes[self.length..][..Control::space::<T>()];
        // SAFETY: integers, for which all zeros is a value; some C libraries have private padding there.
        let mut header: cmsghdr = unsafe { std::mem::zeroed() };
        // SAFETY: arithmetic only.
        let (whole, before) = unsafe { (libc::CMSG_LEN(size_of::<T>() as _), libc::CMSG_LEN(0)) };
        header.cmsg_len = whole as _;
        header.cmsg_level = level;
        header.cmsg_type = kind;
        let at = room.as_mut_ptr();
        // SAFETY: `room` has as many bytes as header and value take, with the padding that the kernel wants; both are copied
        // bytewise, wherever they are.
        unsafe {
            at.cast::<cmsghdr>().write_unaligned(header);
            at.add(before as usize).cast::<T>().write_unaligned(value);
        }
        self.length += room.len();
    }
}

/// Memory for the headers of messages, used again and again.
#[derive(Default)]
pub struct Outbox {
    names: Vec<Name>,
    controls: Vec<Control>,
    vectors: Vec<iovec>,
    headers: Vec<mmsghdr>,
}

// SAFETY: the pointers in it are followed only through `Filled`, which borrows what they point at.
unsafe impl Send for Outbox {}

/// Messages that are ready to be sent.
pub struct Filled<'a> {
    outbox: &'a mut Outbox,
    borrowed: PhantomData<&'a [u8]>,
}

impl Outbox {
    /// Makes them ready.
    pub fn fill<'a>(&'a mut self, messages: impl Iterator<Item = Datagrams<'a>>) -> Filled<'a> {
        self.names.clear();
        self.controls.clear();
        self.vectors.clear();
        self.headers.clear();
        for datagrams in messages {
            self.names.push(datagrams.to);
            self.controls.push(Control::of(&datagrams));
            let bytes = datagrams.bytes;
            self.vectors.push(iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
        }
        // From here on none of the three is moved to other memory.
        let vectors = self.vectors.as_mut_ptr();
        for (index, (name, control)) in self.names.iter().zip(&self.controls).enumerate() {
            // SAFETY: integers and pointers, for which all zeros is a value.
            let mut message: mmsghdr = unsafe { std::mem::zeroed() };
            let (pointer, length) = name.raw();
            message.msg_hdr.msg_name = pointer.cast_mut();
            message.msg_hdr.msg_namelen = length;
            message.msg_hdr.msg_iov = vectors.wrapping_add(index);
            message.msg_hdr.msg_iovlen = 1;
            if control.length > 0 {
                message.msg_hdr.msg_control = control.bytes.as_ptr().cast_mut().cast();
                message.msg_hdr.msg_controllen = control.length as _;
            }
            self.headers.push(message);
        }
        Filled { outbox: self, borrowed: PhantomData }
    }
}

impl Filled<'_> {
    /// Sends some of them, without waiting. Gives how many the kernel took; an error is that of the first.
    pub fn send(&mut self, socket: &UdpSocket, range: RangeFrom<usize>) -> io::Result<usize> {
        let headers = &mut self.outbox.headers[range];
        let count = headers.len().min(MOST);
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: as many headers as are given; each points at elements of the outbox, which nobody can change while this borrows
        // it, and at bytes that are borrowed for as long. The kernel writes to the headers only.
        let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count as _, libc::MSG_DONTWAIT as _) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
    }
}
