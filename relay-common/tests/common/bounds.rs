//! That the parser stays within a packet's bytes. Shared with the fuzz target `packet`.

use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use relay_common::packet::Packet;
use relay_common::parse::{self, Datagram, Payload, UDP};
use relay_common::reason::Reason;

const PAGE: usize = 4096;

/// A page, and one behind it that must not be touched.
pub struct Guarded {
    start: NonNull<u8>,
}

impl Guarded {
    /// Two pages of which the second cannot be read.
    pub fn new() -> Guarded {
        let length = NonZeroUsize::new(2 * PAGE).unwrap();
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let start =
            unsafe { mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags) }
                .unwrap();
        // SAFETY: the second page of the mapping just made.
        unsafe { mprotect(start.byte_add(PAGE), PAGE, ProtFlags::PROT_NONE) }.unwrap();
        Guarded { start: start.cast() }
    }

    /// The bytes, so placed that the next one is out of bounds.
    pub fn place(&mut self, bytes: &[u8]) -> &[u8] {
        assert!(bytes.len() <= PAGE);
        // SAFETY: the last `bytes.len()` bytes of the first page, which only `self` knows.
        unsafe {
            let at = self.start.add(PAGE - bytes.len());
            at.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            std::slice::from_raw_parts(at.as_ptr(), bytes.len())
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; nothing borrowed from it outlives `self`.
        unsafe { munmap(self.start.cast(), 2 * PAGE) }.unwrap();
    }
}

/// All that the parser says of a packet is in its first `length` bytes, of which `reach` can be read.
pub fn check(reach: &[u8], length: usize) {
    let packet = Packet::new(reach).of_length(length);
    assert_eq!(packet.len(), length);
    let Ok(datagram) = parse::datagram(packet) else { return };
    let payload_end = datagram.payload_offset() + usize::from(datagram.payload_length());
    assert!(payload_end <= length, "{datagram:?} ends at {payload_end} of {length}");
    assert!(datagram.payload_offset() <= reach.len(), "headers come from within reach");
    check_fields(reach, &datagram);
    for rtcp_port in [false, true] {
        let payload = parse::payload(packet, &datagram, rtcp_port);
        let inside = &reach[datagram.payload_offset()..payload_end.min(reach.len())];
        // What is out of reach is not there for the parser. A damaged header says nothing of what follows.
        if payload != Err(Reason::BadChecksum) {
            assert_eq!(payload, parse::payload_of(inside, rtcp_port));
        }
        match payload {
            Ok(Payload::Rtp { ssrc, sequence, timestamp }) => {
                assert_eq!(&inside[2..4], sequence.to_be_bytes());
                assert_eq!(&inside[4..8], timestamp.to_be_bytes());
                assert_eq!(&inside[8..12], ssrc.to_be_bytes());
            }
            Ok(Payload::Rtcp { ssrc, .. }) => assert_eq!(&inside[4..8], ssrc.to_be_bytes()),
            Err(_) => {}
        }
    }
}

fn check_fields(bytes: &[u8], datagram: &Datagram) {
    let udp = &bytes[datagram.payload_offset() - UDP..];
    assert_eq!(&udp[0..2], datagram.source_port.to_be_bytes());
    assert_eq!(&udp[2..4], datagram.destination_port.to_be_bytes());
    assert_eq!(&udp[4..6], datagram.udp_length.to_be_bytes());
    assert_eq!(&udp[6..8], datagram.checksum);
}
