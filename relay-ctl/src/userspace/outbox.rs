//! Packets on their way out, many a call: sendmmsg straight out of the buffers they came into, and several packets to one
//! child in one message, which the kernel cuts apart again (UDP_SEGMENT).

use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc::{self, c_int, c_void, cmsghdr, mmsghdr};
use socket2::SockAddr;

/// Most messages of one sendmmsg; the kernel takes no more (UIO_MAXIOV).
pub const CHUNK: usize = 1024;

/// Whether the kernel knows UDP_SEGMENT (Linux 4.18). One that does not would take no notice of it, and send several packets
/// as one.
pub fn segments(socket: &impl AsFd) -> bool {
    let mut value: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `length` bytes to `value` and the length to `length`.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_UDP, libc::UDP_SEGMENT, (&raw mut value).cast(), &raw mut length)
    };
    result == 0
}

/// What goes with a message as control messages: length of a segment, hop count and traffic class.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Marks {
    marks: [Mark; 3],
    /// The class is left out when it is 0, as in most packets: up to 36 bytes the kernel needs no memory for them.
    used: usize,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Mark {
    header: cmsghdr,
    value: [u8; 4],
}

// SAFETY: arithmetic only.
const _: () = unsafe {
    assert!(size_of::<Mark>() == libc::CMSG_SPACE(size_of::<c_int>() as _) as usize);
    assert!(size_of::<Mark>() == libc::CMSG_SPACE(size_of::<u16>() as _) as usize);
};

impl Marks {
    pub fn v4(ttl: u8, class: u8, segment: u16) -> Marks {
        Marks::new(libc::SOL_IP, [libc::IP_TTL, libc::IP_TOS], [ttl, class], segment)
    }

    pub fn v6(hops: u8, class: u8, segment: u16) -> Marks {
        Marks::new(libc::SOL_IPV6, [libc::IPV6_HOPLIMIT, libc::IPV6_TCLASS], [hops, class], segment)
    }

    fn new(level: c_int, kinds: [c_int; 2], values: [u8; 2], segment: u16) -> Marks {
        let [hops, class] =
            [0, 1].map(|index| Mark::new(level, kinds[index], &c_int::from(values[index]).to_ne_bytes()));
        let segment = Mark::new(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        Marks { marks: [segment, hops, class], used: 2 + usize::from(values[1] != 0) }
    }

    /// For one packet, or for several.
    fn of(&self, packets: usize) -> &[Mark] {
        &self.marks[usize::from(packets == 1)..self.used]
    }
}

impl Mark {
    fn new<const N: usize>(level: c_int, kind: c_int, value: &[u8; N]) -> Mark {
        // SAFETY: integers, for which all zeros is a value; some C libraries have private padding there.
        let mut header: cmsghdr = unsafe { std::mem::zeroed() };
        // SAFETY: arithmetic only.
        header.cmsg_len = unsafe { libc::CMSG_LEN(N as _) } as _;
        header.cmsg_level = level;
        header.cmsg_type = kind;
        let mut bytes = [0; 4];
        bytes[..N].copy_from_slice(value);
        Mark { header, value: bytes }
    }
}

/// Memory for the headers of messages, used again for every batch.
pub struct Outbox {
    messages: Vec<mmsghdr>,
}

impl Outbox {
    pub fn new() -> Outbox {
        Outbox { messages: Vec::with_capacity(CHUNK) }
    }

    /// An empty queue in this memory.
    pub fn queue<'a>(&'a mut self) -> Queue<'a> {
        self.messages.clear();
        Queue { outbox: self, borrowed: PhantomData }
    }
}

/// Messages to be sent, referring to payloads and addresses that live for `'a`.
pub struct Queue<'a> {
    outbox: &'a mut Outbox,
    borrowed: PhantomData<&'a [u8]>,
}

impl<'a> Queue<'a> {
    pub fn clear(&mut self) {
        self.outbox.messages.clear();
    }

    /// Adds one packet, or several in one message: then all are as long as `marks` says, and only the last may be shorter.
    pub fn push(&mut self, to: &'a SockAddr, packets: &'a [IoSlice<'a>], marks: &'a Marks) {
        self.outbox.messages.push(message(to, packets, marks));
    }

    /// Puts each packet of a message into one of its own, in the same place.
    pub fn split(&mut self, at: usize, to: &'a SockAddr, packets: &'a [IoSlice<'a>], marks: &'a Marks) {
        let single = packets.chunks(1).map(|packet| message(to, packet, marks));
        self.outbox.messages.splice(at..=at, single);
    }

    /// Sends some of the messages, without waiting. Gives how many the kernel took; an error is that of the first.
    pub fn send(&mut self, socket: &impl AsFd, range: Range<usize>) -> io::Result<usize> {
        let messages = &mut self.outbox.messages[range];
        let count = messages.len().min(CHUNK);
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: as many headers as are given, each pointing at what `push` or `split` borrowed for 'a.
        let result =
            unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), count as _, libc::MSG_DONTWAIT as _) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as usize) }
    }
}

/// The kernel does not write through any of the pointers, in spite of their types.
fn message(to: &SockAddr, packets: &[IoSlice<'_>], marks: &Marks) -> mmsghdr {
    let marks = marks.of(packets.len());
    // SAFETY: integers and pointers, for which all zeros is a value.
    let mut message: mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_name = to.as_ptr().cast::<c_void>().cast_mut();
    message.msg_hdr.msg_namelen = to.len();
    // An IoSlice is an iovec, as the standard library promises.
    message.msg_hdr.msg_iov = packets.as_ptr().cast_mut().cast();
    message.msg_hdr.msg_iovlen = packets.len() as _;
    message.msg_hdr.msg_control = marks.as_ptr().cast_mut().cast();
    message.msg_hdr.msg_controllen = size_of_val(marks) as _;
    message
}
