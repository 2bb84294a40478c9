//! Whole Ethernet frames from and to an interface: AF_PACKET with the kernel's word on checksums and segments in front of each
//! (`PACKET_VNET_HDR`), so that a checksum that a sender left to its card is still left to the next card.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr;

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{setsockopt, sockopt};

use crate::netns::Lab;
use crate::rtp::{self, Header};

/// linux/virtio_net.h, `struct virtio_net_hdr`.
const KERNELS_WORD: usize = 10;
/// The largest frame: a segment that the kernel will cut up, and its headers.
const LARGEST: usize = KERNELS_WORD + (64 << 10) + 64;
/// Enough for seconds of a stream, should we not get a CPU.
const RECEIVE_BUFFER: usize = 64 << 20;
const ETHERNET: usize = 14;
const UDP: usize = 8;

/// An interface's frames: those that come to it, and those that are to leave by it.
pub(super) struct Frames {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Frames {
    pub(super) fn open(lab: &Lab, ns: &str, interface: &str) -> Result<Self> {
        let socket = lab.in_namespace(ns, || open(interface))?;
        Ok(Self {
            socket: socket.with_context(|| format!("a packet socket on {interface} in {ns}"))?,
            buffer: vec![0; LARGEST],
        })
    }

    /// The next frame that has come, if there is one, and RTP's header if it is RTP.
    pub(super) fn receive(&mut self) -> io::Result<Option<(Vec<u8>, Option<Header>)>> {
        // SAFETY: an open socket, and a buffer of ours with its length.
        let length = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                self.buffer.as_mut_ptr().cast(),
                self.buffer.len(),
                libc::MSG_DONTWAIT,
            )
        };
        if length < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
        }
        let frame = &self.buffer[..length as usize];
        Ok(Some((frame.to_vec(), frame.get(KERNELS_WORD..).and_then(header))))
    }

    /// Sends a frame as it was received.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: an open socket, and a slice with its length.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Frames for which there was no room, since this was asked last.
    pub(super) fn overflowed(&self) -> u64 {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = size_of_val(&statistics) as libc::socklen_t;
        // SAFETY: an open socket, and a structure of the kind that the option gives, with its length.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        if result < 0 { 0 } else { u64::from(statistics.tp_drops) }
    }
}

impl AsFd for Frames {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The header of RTP in an Ethernet frame, behind IP without options or extensions.
fn header(frame: &[u8]) -> Option<Header> {
    let ip = match frame.get(12..14)? {
        [0x08, 0x00] if *frame.get(ETHERNET + 9)? == libc::IPPROTO_UDP as u8 => 20,
        [0x86, 0xdd] if *frame.get(ETHERNET + 6)? == libc::IPPROTO_UDP as u8 => 40,
        _ => return None,
    };
    rtp::parse(frame.get(ETHERNET + ip + UDP..)?).map(|(header, _)| header)
}

/// In the namespace of the calling thread.
fn open(interface: &str) -> io::Result<OwnedFd> {
    let index = if_nametoindex(interface)?;
    // Of no protocol: nothing comes before it is bound to the interface.
    // SAFETY: no memory is involved.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that the kernel has just made for us.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER)?;
    turn_on(&socket, libc::PACKET_VNET_HDR)?;
    // What we send ourselves is not to come back.
    turn_on(&socket, libc::PACKET_IGNORE_OUTGOING)?;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: an open socket, and an address of its family with its length.
    if unsafe { libc::bind(socket.as_raw_fd(), ptr::from_ref(&address).cast(), length) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

fn turn_on(socket: &OwnedFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of_val(&on) as libc::socklen_t;
    // SAFETY: an open socket, and a number that lives through the call, with its length.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, ptr::from_ref(&on).cast(), length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
