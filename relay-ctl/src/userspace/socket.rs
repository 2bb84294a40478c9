//! Packets on their way in, many a call: recvmmsg into buffers that are made once, and several packets of one sender in one
//! message where the kernel has put them together (UDP_GRO). All of the data plane's `unsafe` is here and in `outbox`.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc::{self, c_int, cmsghdr, iovec, mmsghdr, sockaddr_in, sockaddr_in6};
use relay_common::parse::MAPPED;
use socket2::{SockFilter, Socket};

use crate::address::mapped;

/// Most messages of one [`Inbox::receive`].
pub const BATCH: usize = 64;
/// Longest payload of a packet: what a jumbo frame can hold.
const LONGEST: usize = 9216;
/// Longest message, and a cache line: buffers at the same place in their pages would push one another out of the cache.
const BUFFER: usize = (1 << 16) + 64;
/// Room for what the kernel says about a message: both kinds of pktinfo, hops, traffic class, time, length of a packet.
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

/// A classic BPF program that gives 0 for every packet.
const ZERO: SockFilter = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);

/// Says that of all sockets that share a port with this one (SO_REUSEPORT) the first gets what comes: the program gives an
/// index. To be called before the socket is bound, with SO_REUSEPORT set.
pub fn all_to_the_first(socket: &impl AsFd) -> io::Result<()> {
    let mut zero = [libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 }];
    let program = libc::sock_fprog { len: zero.len() as u16, filter: zero.as_mut_ptr() };
    let fd = socket.as_fd().as_raw_fd();
    let length = size_of_val(&program) as libc::socklen_t;
    // SAFETY: the program is so many instructions long, and the kernel copies it.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Says that the socket takes nothing: the program gives how many bytes of a packet to keep.
pub fn drop_all(socket: &Socket) -> io::Result<()> {
    socket.attach_filter(&[ZERO])
}

/// A packet as the socket gave it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    pub payload: &'a [u8],
    /// False when the packet is longer than any that is forwarded.
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

    /// Takes what is there, without waiting. Gives how many messages.
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

    /// The packets of the `index`th message of the last [`Inbox::receive`].
    pub fn packets(&self, index: usize) -> impl Iterator<Item = Received<'_>> {
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
        let mut segment = length;
        // SAFETY: the kernel filled the control buffer, and `msg_control` and `msg_controllen` describe it.
        let mut header = unsafe { libc::CMSG_FIRSTHDR(&message.msg_hdr) };
        while !header.is_null() {
            // SAFETY: not null, so inside the control buffer, which is aligned for it.
            let control = unsafe { &*header };
            match (control.cmsg_level, control.cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    segment = value::<c_int>(control).map_or(length, |segment| segment as usize);
                }
                _ => packet.note(control),
            }
            // SAFETY: as for CMSG_FIRSTHDR.
            header = unsafe { libc::CMSG_NXTHDR(&message.msg_hdr, header) };
        }
        cut(packet.payload, segment).map(move |payload| {
            let whole = packet.whole && payload.len() <= LONGEST;
            Received { payload, whole, ..packet }
        })
    }
}

/// The packets of a message, so long each but for the last. One of no bytes is a packet, too.
fn cut(message: &[u8], segment: usize) -> impl Iterator<Item = &[u8]> {
    let none = message.is_empty().then_some(message);
    none.into_iter().chain(message.chunks(segment.max(1)))
}

impl Received<'_> {
    /// True for an IPv6 packet whose source looks like an IPv4 address (RFC 4291 section 2.5.5.2): on no wire, and not what
    /// it seems. The kernel delivers such packets, and says of real IPv4 ones that they were sent to IPv4 addresses.
    pub fn is_disguised(&self) -> bool {
        self.destination.is_some_and(|destination| is_mapped(&self.source) != is_mapped(&destination))
    }

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
                self.destination = Some(mapped(Ipv4Addr::from(to.to_ne_bytes()).into()));
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

fn is_mapped(address: &[u8; 16]) -> bool {
    address[..12] == MAPPED[..12]
}

fn address(name: &sockaddr_in6) -> ([u8; 16], u16) {
    if name.sin6_family == libc::AF_INET as libc::sa_family_t {
        // SAFETY: the kernel wrote a sockaddr_in here, as the family says; it is shorter and no more aligned.
        let name = unsafe { &*(&raw const *name).cast::<sockaddr_in>() };
        (mapped(Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes()).into()), u16::from_be(name.sin_port))
    } else {
        (name.sin6_addr.s6_addr, u16::from_be(name.sin6_port))
    }
}
