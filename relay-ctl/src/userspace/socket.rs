//! The system calls that carry packets, many a call: recvmmsg into buffers that are made once, sendmmsg straight out
//! of them. All of the module's `unsafe` is here.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc::{self, c_int, c_void, cmsghdr, iovec, mmsghdr, sockaddr_in, sockaddr_in6};
use relay_common::parse::MAPPED;
use socket2::SockAddr;

/// Most packets of one [`Inbox::receive`].
pub const BATCH: usize = 64;
/// Most copies of one sendmmsg; the kernel takes no more (UIO_MAXIOV).
pub const CHUNK: usize = 1024;
/// Longest payload: what a jumbo frame can hold.
const BUFFER: usize = 9216;
/// Room for what the kernel says about a packet: both kinds of pktinfo, hops, traffic class, time.
const CONTROL: usize = 256;

/// Sets an integer option.
pub fn set(socket: &impl AsFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `value` is an integer of the length given, and the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Packets that the kernel dropped since the socket was opened, because nobody read them in time or their checksum was
/// wrong. The same counter as SO_RXQ_OVFL's, but as of now, and at no cost a packet.
pub fn receive_drops(socket: &impl AsFd) -> io::Result<u32> {
    let mut values = [0u32; 16];
    let mut length = size_of_val(&values) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `length` bytes to `values` and the length to `length`.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, values.as_mut_ptr().cast(), &raw mut length)
    };
    if result == 0 { Ok(values[libc::SK_MEMINFO_DROPS as usize]) } else { Err(io::Error::last_os_error()) }
}

/// A packet as the socket gave it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    pub payload: &'a [u8],
    /// False when the packet was longer than any buffer here.
    pub whole: bool,
    /// IPv4 mapped.
    pub source: [u8; 16],
    pub source_port: u16,
    /// Where it was sent to, IPv4 mapped.
    pub destination: Option<[u8; 16]>,
    /// False for broadcast and multicast.
    pub unicast: bool,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP and ECN.
    pub class: u8,
    /// When the kernel got it, CLOCK_REALTIME ns.
    pub time: Option<u64>,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Received packets, valid until the next [`Inbox::receive`].
pub struct Inbox {
    messages: Vec<mmsghdr>,
    vectors: Vec<iovec>,
    names: Vec<sockaddr_in6>,
    controls: Vec<Control>,
    buffers: Vec<u8>,
    filled: usize,
}

impl Inbox {
    pub fn new() -> Inbox {
        // SAFETY: integers and pointers, for which all zeros is a value.
        let (message, name): (mmsghdr, sockaddr_in6) = unsafe { std::mem::zeroed() };
        let vector = iovec { iov_base: std::ptr::null_mut(), iov_len: BUFFER };
        let mut inbox = Inbox {
            messages: vec![message; BATCH],
            vectors: vec![vector; BATCH],
            names: vec![name; BATCH],
            controls: vec![Control([0; CONTROL]); BATCH],
            buffers: vec![0; BATCH * BUFFER],
            filled: BATCH,
        };
        // None of these vectors is ever moved to other memory, so the pointers stay good.
        for index in 0..BATCH {
            inbox.vectors[index].iov_base = inbox.buffers[index * BUFFER..].as_mut_ptr().cast();
        }
        let (names, vectors, controls) =
            (inbox.names.as_mut_ptr(), inbox.vectors.as_mut_ptr(), inbox.controls.as_mut_ptr());
        for (index, message) in inbox.messages.iter_mut().enumerate() {
            message.msg_hdr.msg_name = names.wrapping_add(index).cast();
            message.msg_hdr.msg_iov = vectors.wrapping_add(index);
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = controls.wrapping_add(index).cast();
        }
        inbox
    }

    /// Takes what is there, without waiting.
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        for message in &mut self.messages[..self.filled] {
            message.msg_hdr.msg_namelen = size_of::<sockaddr_in6>() as libc::socklen_t;
            message.msg_hdr.msg_controllen = CONTROL as _;
        }
        self.filled = 0;
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: BATCH headers, each pointing at an element of this inbox's vectors with its length, as made in `new`.
        let result = unsafe {
            libc::recvmmsg(
                fd,
                self.messages.as_mut_ptr(),
                BATCH as _,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        self.filled = result as usize;
        Ok(self.filled)
    }

    /// The `index`th packet of the last [`Inbox::receive`].
    pub fn packet(&self, index: usize) -> Received<'_> {
        let message = &self.messages[..self.filled][index];
        let length = (message.msg_len as usize).min(BUFFER);
        let (source, source_port) = address(&self.names[index]);
        let mut packet = Received {
            payload: &self.buffers[index * BUFFER..][..length],
            whole: message.msg_hdr.msg_flags & libc::MSG_TRUNC == 0,
            source,
            source_port,
            destination: None,
            unicast: true,
            // Without the option the hop count is unknown; `listen` does not open such a socket.
            ttl: 64,
            class: 0,
            time: None,
        };
        // SAFETY: the kernel filled the control buffer, and `msg_control` and `msg_controllen` describe it.
        let mut header = unsafe { libc::CMSG_FIRSTHDR(&message.msg_hdr) };
        while !header.is_null() {
            // SAFETY: not null, so inside the control buffer, which is aligned for it.
            packet.note(unsafe { &*header });
            // SAFETY: as for CMSG_FIRSTHDR.
            header = unsafe { libc::CMSG_NXTHDR(&message.msg_hdr, header) };
        }
        packet
    }
}

impl Received<'_> {
    fn note(&mut self, header: &cmsghdr) {
        match (header.cmsg_level, header.cmsg_type) {
            (libc::SOL_IP, libc::IP_TTL) | (libc::SOL_IPV6, libc::IPV6_HOPLIMIT) => {
                self.ttl = value::<c_int>(header).map_or(self.ttl, |hops| hops as u8);
            }
            // One byte in IPv4, an integer in IPv6.
            (libc::SOL_IP, libc::IP_TOS) => self.class = value::<u8>(header).unwrap_or(0),
            (libc::SOL_IPV6, libc::IPV6_TCLASS) => self.class = value::<c_int>(header).unwrap_or(0) as u8,
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                self.time = value::<libc::timespec>(header)
                    .map(|time| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64);
            }
            (libc::SOL_IP, libc::IP_PKTINFO) => {
                let Some(info) = value::<libc::in_pktinfo>(header) else { return };
                let (to, local) = (info.ipi_addr.s_addr, info.ipi_spec_dst.s_addr);
                self.destination = Some(mapped(to.to_ne_bytes()));
                // The kernel puts one of its own addresses beside a group's.
                self.unicast = local == 0 || local == to;
            }
            (libc::SOL_IPV6, libc::IPV6_PKTINFO) => {
                let Some(info) = value::<libc::in6_pktinfo>(header) else { return };
                self.destination = Some(info.ipi6_addr.s6_addr);
                self.unicast &= info.ipi6_addr.s6_addr[0] != 0xff;
            }
            _ => {}
        }
    }
}

/// The data of a control message, if it is as long as a `T`. `T`: integers only.
fn value<T: Copy>(header: &cmsghdr) -> Option<T> {
    // SAFETY: arithmetic only.
    let wanted = unsafe { libc::CMSG_LEN(size_of::<T>() as _) };
    // Not the same integer type in every C library.
    if header.cmsg_len < wanted as _ {
        return None;
    }
    // SAFETY: the header says that so many bytes follow it, and any bytes make integers; read without alignment.
    Some(unsafe { libc::CMSG_DATA(header).cast::<T>().read_unaligned() })
}

fn mapped([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    let mut address = MAPPED;
    address[12..].copy_from_slice(&[a, b, c, d]);
    address
}

fn address(name: &sockaddr_in6) -> ([u8; 16], u16) {
    if name.sin6_family == libc::AF_INET as libc::sa_family_t {
        // SAFETY: the kernel wrote a sockaddr_in here, as the family says; it is shorter and no more aligned.
        let name = unsafe { &*(&raw const *name).cast::<sockaddr_in>() };
        (mapped(name.sin_addr.s_addr.to_ne_bytes()), u16::from_be(name.sin_port))
    } else {
        (name.sin6_addr.s6_addr, u16::from_be(name.sin6_port))
    }
}

/// Hop count and traffic class of a copy, as control messages.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Marks {
    marks: [Mark; 2],
    /// The class is left out when it is 0, as in most packets: up to 36 bytes the kernel needs no memory for them.
    used: usize,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Mark {
    header: cmsghdr,
    value: c_int,
}

// SAFETY: arithmetic only.
const _: () = unsafe { assert!(size_of::<Mark>() == libc::CMSG_SPACE(size_of::<c_int>() as _) as usize) };

impl Marks {
    pub fn v4(ttl: u8, class: u8) -> Marks {
        let marks =
            [Mark::new(libc::SOL_IP, libc::IP_TTL, ttl), Mark::new(libc::SOL_IP, libc::IP_TOS, class)];
        Marks { marks, used: 1 + usize::from(class != 0) }
    }

    pub fn v6(hops: u8, class: u8) -> Marks {
        let (hops_kind, class_kind) = (libc::IPV6_HOPLIMIT, libc::IPV6_TCLASS);
        let marks =
            [Mark::new(libc::SOL_IPV6, hops_kind, hops), Mark::new(libc::SOL_IPV6, class_kind, class)];
        Marks { marks, used: 1 + usize::from(class != 0) }
    }
}

impl Mark {
    fn new(level: c_int, kind: c_int, value: u8) -> Mark {
        // SAFETY: integers, for which all zeros is a value; some C libraries have private padding there.
        let mut header: cmsghdr = unsafe { std::mem::zeroed() };
        // SAFETY: arithmetic only.
        header.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<c_int>() as _) } as _;
        header.cmsg_level = level;
        header.cmsg_type = kind;
        Mark { header, value: c_int::from(value) }
    }
}

/// Memory for the headers of copies, used again for every batch.
pub struct Outbox {
    messages: Vec<mmsghdr>,
    vectors: Vec<iovec>,
}

impl Outbox {
    pub fn new() -> Outbox {
        Outbox { messages: Vec::with_capacity(CHUNK), vectors: Vec::with_capacity(CHUNK) }
    }

    /// An empty queue in this memory.
    pub fn queue<'a>(&'a mut self) -> Queue<'a> {
        self.messages.clear();
        self.vectors.clear();
        Queue { outbox: self, borrowed: PhantomData }
    }
}

/// Copies to be sent, at most [`CHUNK`], referring to payloads and addresses that live for `'a`.
pub struct Queue<'a> {
    outbox: &'a mut Outbox,
    borrowed: PhantomData<&'a [u8]>,
}

impl<'a> Queue<'a> {
    pub fn len(&self) -> usize {
        self.outbox.messages.len()
    }

    pub fn clear(&mut self) {
        self.outbox.messages.clear();
        self.outbox.vectors.clear();
    }

    /// Adds one copy; the caller sends and clears when there are [`CHUNK`].
    pub fn push(&mut self, to: &'a SockAddr, payload: &'a [u8], marks: &'a Marks) {
        assert!(self.len() < CHUNK, "the caller sends a full queue first");
        // The kernel does not write through any of these, in spite of the types.
        let vector = iovec { iov_base: payload.as_ptr().cast::<c_void>().cast_mut(), iov_len: payload.len() };
        // Within the capacity, so nothing moves and earlier headers stay right.
        let vectors = self.outbox.vectors.as_mut_ptr();
        let vector_of_this = vectors.wrapping_add(self.outbox.vectors.len());
        self.outbox.vectors.push(vector);
        // SAFETY: integers and pointers, for which all zeros is a value.
        let mut message: mmsghdr = unsafe { std::mem::zeroed() };
        message.msg_hdr.msg_name = to.as_ptr().cast::<c_void>().cast_mut();
        message.msg_hdr.msg_namelen = to.len();
        message.msg_hdr.msg_iov = vector_of_this;
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_control = marks.marks.as_ptr().cast::<c_void>().cast_mut();
        message.msg_hdr.msg_controllen = size_of_val(&marks.marks[..marks.used]) as _;
        self.outbox.messages.push(message);
    }

    /// Sends the copies from the `first` on, without waiting. Gives how many the kernel took; an error is that of copy
    /// `first`.
    pub fn send(&mut self, socket: &impl AsFd, first: usize) -> io::Result<usize> {
        let messages = &mut self.outbox.messages[first..];
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: as many headers as are given, each pointing at what `push` borrowed for 'a and at its own element of
        // `vectors`.
        let result = unsafe {
            libc::sendmmsg(fd, messages.as_mut_ptr(), messages.len() as _, libc::MSG_DONTWAIT as _)
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as usize) }
    }
}
