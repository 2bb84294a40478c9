//! Frames put on a wire and taken off one, by packet sockets.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _};

use lab::Lab;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::frames::Datagram;

/// `linux/if_packet.h`.
const PACKET_VNET_HDR: libc::c_int = 15;

/// Sends a frame to the relay.
pub fn send(lab: &Lab, frame: &[u8]) {
    let mut socket = lab
        .in_namespace("injection", || packet_socket(nix::net::if_::if_nametoindex("eth0").unwrap()))
        .unwrap();
    assert_eq!(socket.write(frame).unwrap(), frame.len());
}

/// Sends a frame whose UDP checksum is left to hardware, as a local sender's is.
pub fn send_partial(lab: &Lab, packet: &Datagram) {
    send_unfinished(lab, packet, 0, 0);
}

/// Sends one socket buffer that is several packets, as a local sender's message with UDP_SEGMENT is: each has so many bytes
/// of payload, the last what is left.
pub fn send_segments(lab: &Lab, packet: &Datagram, segment: u16) {
    // VIRTIO_NET_HDR_GSO_UDP_L4
    send_unfinished(lab, packet, 5, segment);
}

fn send_unfinished(lab: &Lab, packet: &Datagram, kind: u8, segment: u16) {
    let mut socket = lab
        .in_namespace("injection", || packet_socket(nix::net::if_::if_nametoindex("eth0").unwrap()))
        .unwrap();
    with_header(&socket);
    let frame = [unfinished(packet.udp_at(), kind, segment).to_vec(), packet.bytes()].concat();
    assert_eq!(socket.write(&frame).unwrap(), frame.len());
}

/// From now on, what is written to the socket begins with a `virtio_net_hdr`.
pub fn with_header(socket: &File) {
    let on: libc::c_int = 1;
    // SAFETY: an open descriptor, and an integer that lives through the call with its right length.
    let set = unsafe {
        let (value, length) = ((&raw const on).cast(), size_of_val(&on) as libc::socklen_t);
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, PACKET_VNET_HDR, value, length)
    };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

/// A `virtio_net_hdr` of a frame whose UDP checksum is left to hardware: VIRTIO_NET_HDR_F_NEEDS_CSUM, how to cut, length of
/// headers and of a segment, where the sum begins and where its field is.
pub fn unfinished(udp_at: usize, kind: u8, segment: u16) -> [u8; 10] {
    let headers = if kind == 0 { 0 } else { udp_at as u16 + 8 };
    let [[a, b], [c, d], [e, f], [g, h]] = [headers, segment, udp_at as u16, 6].map(u16::to_ne_bytes);
    [1, kind, a, b, c, d, e, f, g, h]
}

/// All that comes in at an interface of the egress namespace for any child.
pub struct Tap {
    socket: File,
    blanks: usize,
    /// Room for the longest frame: a buffer of several packets has up to 64 KiB.
    buffer: Vec<u8>,
}

impl Tap {
    pub fn open(lab: &Lab, nic: usize) -> Tap {
        let socket = lab
            .in_namespace("egress", || {
                packet_socket(nix::net::if_::if_nametoindex(&format!("eth{nic}")[..]).unwrap())
            })
            .unwrap();
        Tap { socket, blanks: 0, buffer: vec![0; 1 << 17] }
    }

    /// The next `count` frames; less, if no more come.
    pub fn take(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while frames.len() < count {
            let Some(frame) = self.next(2_000) else { break };
            frames.push(frame);
        }
        frames
    }

    /// Frames that are there or come within a moment.
    pub fn rest(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.next(50)).collect()
    }

    /// How many frames have come that say nothing, when nothing else is left.
    pub fn blanks(&mut self) -> usize {
        assert_eq!(self.rest(), Vec::<Vec<u8>>::new());
        std::mem::take(&mut self.blanks)
    }

    /// The next frame, if one is there or comes within so long.
    pub fn next(&mut self, milliseconds: u16) -> Option<Vec<u8>> {
        loop {
            let mut poll_fd = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut poll_fd, PollTimeout::from(milliseconds)).unwrap() == 0 {
                return None;
            }
            let length = self.socket.read(&mut self.buffer).unwrap();
            // The hosts' own chatter is not for children.
            if self.buffer[..2] == [0x02, 0xc0] {
                return Some(self.buffer[..length].to_vec());
            }
            let frame = &self.buffer[..length];
            if frame[..6] == frame[6..12] && frame[12..14] == [0x88, 0xb5] {
                assert!(length <= 60 && frame[14..].iter().all(|byte| *byte == 0), "{frame:x?}");
                self.blanks += 1;
            }
        }
    }
}

/// A socket that has every frame of an interface of the calling thread's namespace.
pub fn packet_socket(ifindex: u32) -> File {
    let every_protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: no memory is passed.
    let fd = unsafe {
        libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, i32::from(every_protocol))
    };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is open and nobody else's.
    let socket = unsafe { File::from_raw_fd(fd) };
    // SAFETY: plain integers and bytes, for which all zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = every_protocol;
    address.sll_ifindex = ifindex as i32;
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: an open descriptor, and an address that lives through the call with its right length.
    let bound = unsafe { libc::bind(fd, (&raw const address).cast(), length) };
    assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
    // An XDP copy takes a page: 256 of them are more than the usual buffer.
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &(16 << 20)).unwrap();
    socket
}
