//! Batches of datagrams: recvmmsg, sendmmsg, and UDP_SEGMENT for what goes to one destination.

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::sys::socket::{SockaddrLike, SockaddrStorage};

/// Most packets received together.
pub const BATCH: usize = 64;
const LENGTH: usize = 2048;
/// Most messages of one sendmmsg (UIO_MAXIOV).
const CHUNK: usize = 1024;
/// A segmented message is no longer than a datagram may be.
const LARGEST: usize = 65_000;

/// Buffers for what comes in.
pub struct Inbox {
    buffers: Vec<[u8; LENGTH]>,
    lengths: Vec<usize>,
}

/// Headers for what goes out.
pub struct Outbox {
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    controls: Vec<Segment>,
}

/// The control message that says how long a segment is.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Segment {
    header: libc::cmsghdr,
    length: u16,
}

impl Inbox {
    pub fn new() -> Self {
        Self { buffers: vec![[0; LENGTH]; BATCH], lengths: Vec::with_capacity(BATCH) }
    }

    /// Waits for a packet and takes all that are there with it.
    pub fn receive(&mut self, socket: &UdpSocket) -> Result<Packets<'_>> {
        let mut vectors: Vec<libc::iovec> =
            self.buffers.iter_mut().map(|buffer| vector(buffer.as_mut_slice())).collect();
        let mut headers: Vec<libc::mmsghdr> = vectors.iter_mut().map(|vector| header(vector, 1)).collect();
        // SAFETY: every header points at a vector, and that at a buffer of its own with its length, which outlive the call;
        // no timeout is given.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_WAITFORONE,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            return Err(io::Error::last_os_error()).context("recvmmsg");
        }
        self.lengths.clear();
        self.lengths.extend(headers[..received as usize].iter().map(|header| header.msg_len as usize));
        Ok(Packets { buffers: &self.buffers, lengths: &self.lengths })
    }
}

/// What has come together.
#[derive(Clone, Copy)]
pub struct Packets<'a> {
    buffers: &'a [[u8; LENGTH]],
    lengths: &'a [usize],
}

impl<'a> Packets<'a> {
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.buffers.iter().zip(self.lengths).map(|(buffer, length)| &buffer[..*length])
    }
}

impl Outbox {
    pub fn new() -> Self {
        let (headers, vectors) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
        Self { headers, vectors, controls: Vec::new() }
    }

    /// Every packet to every client.
    pub fn send_each(
        &mut self,
        socket: &UdpSocket,
        packets: Packets<'_>,
        clients: &[SockaddrStorage],
    ) -> Result<()> {
        self.vectors.clear();
        self.vectors.extend(packets.iter().map(read_only));
        for vector in &mut self.vectors {
            for client in clients {
                self.headers.push(to(header(vector, 1), client));
                if self.headers.len() == CHUNK {
                    flush(socket, &mut self.headers)?;
                }
            }
        }
        flush(socket, &mut self.headers)
    }

    /// The same, each client's packets of equal length in one message.
    pub fn send_segmented(
        &mut self,
        socket: &UdpSocket,
        packets: Packets<'_>,
        clients: &[SockaddrStorage],
    ) -> Result<()> {
        self.vectors.clear();
        self.vectors.extend(packets.iter().map(read_only));
        // The vectors of equal length that follow one another, as far as one message carries them.
        let runs = || {
            let mut begin = 0;
            let lengths = packets.lengths;
            std::iter::from_fn(move || {
                let length = *lengths.get(begin)?;
                let equal = lengths[begin..].iter().take_while(|other| **other == length).count();
                let run = begin..begin + equal.min(LARGEST / length.max(1)).max(1);
                begin = run.end;
                Some(run)
            })
        };
        self.controls.clear();
        self.controls.extend(runs().map(|run| segment(packets.lengths[run.start])));
        for client in clients {
            for (run, control) in runs().zip(&mut self.controls) {
                let mut message = to(header(&mut self.vectors[run.start], run.len()), client);
                if run.len() > 1 {
                    message.msg_hdr.msg_control = (&raw mut *control).cast();
                    message.msg_hdr.msg_controllen = mem::size_of::<Segment>();
                }
                self.headers.push(message);
                if self.headers.len() == CHUNK {
                    flush(socket, &mut self.headers)?;
                }
            }
        }
        flush(socket, &mut self.headers)
    }
}

fn flush(socket: &UdpSocket, headers: &mut Vec<libc::mmsghdr>) -> Result<()> {
    let mut left = headers.as_mut_slice();
    while !left.is_empty() {
        // SAFETY: every header points at vectors, packets, an address and perhaps a control message that are borrowed
        // beyond this call; the kernel only reads what sendmmsg is given, apart from `msg_len`.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), left.as_mut_ptr(), left.len() as u32, 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error()).context("sendmmsg");
        }
        left = &mut left[sent as usize..];
    }
    headers.clear();
    Ok(())
}

fn vector(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}

/// For sending: the kernel does not write through it, in spite of the type.
pub fn read_only(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

fn header(vectors: &mut libc::iovec, count: usize) -> libc::mmsghdr {
    // SAFETY: integers and pointers, for which all zero is a value (null, no address, no control data).
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    header.msg_hdr.msg_iov = vectors;
    header.msg_hdr.msg_iovlen = count;
    header
}

fn to(mut header: libc::mmsghdr, client: &SockaddrStorage) -> libc::mmsghdr {
    header.msg_hdr.msg_name = client.as_ptr().cast_mut().cast();
    header.msg_hdr.msg_namelen = client.len();
    header
}

fn segment(length: usize) -> Segment {
    // SAFETY: integers, for which all zero is a value.
    let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
    // SAFETY: arithmetic only.
    header.cmsg_len = unsafe { libc::CMSG_LEN(mem::size_of::<u16>() as u32) } as usize;
    header.cmsg_level = libc::SOL_UDP;
    header.cmsg_type = libc::UDP_SEGMENT;
    Segment { header, length: length as u16 }
}

/// One datagram to one client, for io_uring.
pub fn message(vector: &mut libc::iovec, client: &SockaddrStorage) -> libc::msghdr {
    to(header(vector, 1), client).msg_hdr
}
