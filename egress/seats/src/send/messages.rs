//! sendmmsg, and what goes with a message: the length of a segment. The `unsafe` of sending is here.

use std::io;
use std::marker::PhantomData;
use std::net::{SocketAddr, SocketAddrV6, UdpSocket};
use std::ops::RangeFrom;
use std::os::fd::{AsFd, AsRawFd};

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
pub enum Name {
    V4(SockaddrIn),
    V6(SockaddrIn6),
}

impl Name {
    /// `None` for an IPv6 address at an IPv4 socket.
    pub fn new(to: SocketAddr, v6: bool) -> Option<Name> {
        match (to, v6) {
            (SocketAddr::V4(to), false) => Some(Name::V4(to.into())),
            (SocketAddr::V4(to), true) => {
                let mapped = SocketAddrV6::new(to.ip().to_ipv6_mapped(), to.port(), 0, 0);
                Some(Name::V6(mapped.into()))
            }
            (SocketAddr::V6(to), true) => Some(Name::V6(to.into())),
            (SocketAddr::V6(_), false) => None,
        }
    }

    fn raw(&self) -> (*const c_void, libc::socklen_t) {
        match self {
            Name::V4(name) => (name.as_ptr().cast(), name.len()),
            Name::V6(name) => (name.as_ptr().cast(), name.len()),
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

/// The control message that says how long a segment is.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Segment {
    header: cmsghdr,
    length: u16,
}

// SAFETY: arithmetic only.
const _: () = unsafe {
    assert!(size_of::<Segment>() == libc::CMSG_SPACE(size_of::<u16>() as _) as usize);
    assert!(std::mem::offset_of!(Segment, length) == libc::CMSG_LEN(0) as usize);
};

impl Segment {
    fn new(length: u16) -> Segment {
        // SAFETY: integers, for which all zeros is a value; some C libraries have private padding there.
        let mut header: cmsghdr = unsafe { std::mem::zeroed() };
        // SAFETY: arithmetic only.
        header.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<u16>() as _) } as _;
        header.cmsg_level = libc::SOL_UDP;
        header.cmsg_type = libc::UDP_SEGMENT;
        Segment { header, length }
    }
}

/// Memory for the headers of messages, used again and again.
#[derive(Default)]
pub struct Outbox {
    names: Vec<Name>,
    segments: Vec<Option<Segment>>,
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
        self.segments.clear();
        self.vectors.clear();
        self.headers.clear();
        for datagrams in messages {
            self.names.push(datagrams.to);
            self.segments.push(datagrams.segment.map(Segment::new));
            let bytes = datagrams.bytes;
            self.vectors.push(iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
        }
        // From here on none of the three is moved to other memory.
        let vectors = self.vectors.as_mut_ptr();
        for (index, (name, segment)) in self.names.iter().zip(&self.segments).enumerate() {
            // SAFETY: integers and pointers, for which all zeros is a value.
            let mut message: mmsghdr = unsafe { std::mem::zeroed() };
            let (pointer, length) = name.raw();
            message.msg_hdr.msg_name = pointer.cast_mut();
            message.msg_hdr.msg_namelen = length;
            message.msg_hdr.msg_iov = vectors.wrapping_add(index);
            message.msg_hdr.msg_iovlen = 1;
            if let Some(segment) = segment {
                message.msg_hdr.msg_control = std::ptr::from_ref(segment).cast_mut().cast();
                message.msg_hdr.msg_controllen = size_of_val(segment) as _;
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
