//! Any bytes at all, cut off anywhere, right in front of a page that cannot be read: an over-read is a crash, not luck.
//!
//! `PROPTEST_CASES=1000000 cargo test --release -p relay-common --test parser_never_reads_out_of_bounds` runs it for
//! long, in the place of a fuzzer, which needs a nightly toolchain.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use std::num::NonZeroUsize;
use std::ptr::NonNull;

use common::{damage, damaged, frame};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use proptest::prelude::*;
use relay_common::packet::Packet;
use relay_common::parse::{self, Datagram, Payload, UDP};
use relay_common::reason::Reason;

const PAGE: usize = 4096;

/// A page, and one behind it that must not be touched.
struct Guarded {
    start: NonNull<u8>,
}

impl Guarded {
    fn new() -> Guarded {
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
    fn place(&mut self, bytes: &[u8]) -> &[u8] {
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
fn check(reach: &[u8], length: usize) -> Result<(), TestCaseError> {
    let packet = Packet::new(reach).of_length(length);
    prop_assert_eq!(packet.len(), length);
    let Ok(datagram) = parse::datagram(packet) else { return Ok(()) };
    let payload_end = datagram.payload_offset() + usize::from(datagram.payload_length());
    prop_assert!(payload_end <= length, "{datagram:?} ends at {payload_end} of {length}");
    prop_assert!(datagram.payload_offset() <= reach.len(), "headers come from within reach");
    check_fields(reach, &datagram)?;
    for rtcp_port in [false, true] {
        let payload = parse::payload(packet, &datagram, rtcp_port);
        let inside = &reach[datagram.payload_offset()..payload_end.min(reach.len())];
        // What is out of reach is not there for the parser. A damaged header says nothing of what follows.
        if payload != Err(Reason::BadChecksum) {
            prop_assert_eq!(payload, parse::payload_of(inside, rtcp_port));
        }
        match payload {
            Ok(Payload::Rtp { ssrc, sequence, timestamp }) => {
                prop_assert_eq!(&inside[2..4], sequence.to_be_bytes());
                prop_assert_eq!(&inside[4..8], timestamp.to_be_bytes());
                prop_assert_eq!(&inside[8..12], ssrc.to_be_bytes());
            }
            Ok(Payload::Rtcp { ssrc, .. }) => prop_assert_eq!(&inside[4..8], ssrc.to_be_bytes()),
            Err(_) => {}
        }
    }
    Ok(())
}

fn check_fields(bytes: &[u8], datagram: &Datagram) -> Result<(), TestCaseError> {
    let udp = &bytes[datagram.payload_offset() - UDP..];
    prop_assert_eq!(&udp[0..2], datagram.source_port.to_be_bytes());
    prop_assert_eq!(&udp[2..4], datagram.destination_port.to_be_bytes());
    prop_assert_eq!(&udp[4..6], datagram.udp_length.to_be_bytes());
    prop_assert_eq!(&udp[6..8], datagram.checksum);
    Ok(())
}

fn check_at_every_length(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut page = Guarded::new();
    for length in 0..=bytes.len() {
        let cut = page.place(&bytes[..length]);
        check(cut, length)?;
        // A socket buffer that goes on where the program cannot look.
        check(cut, bytes.len())?;
        let _ = parse::payload_of(cut, false);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_at_every_length(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        check_at_every_length(&bytes)?;
    }

    #[test]
    fn valid_frames_with_some_damage_at_every_length(frame in frame(), damage in damage()) {
        check_at_every_length(&damaged(frame.bytes(), &damage))?;
    }

    #[test]
    fn a_fixed_number_of_bytes_comes_from_inside_or_not_at_all(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        offset in 0..50usize,
    ) {
        let mut page = Guarded::new();
        let packet = Packet::new(page.place(&bytes));
        prop_assert_eq!(packet.bytes::<8>(offset).map(|eight| &eight[..]), bytes.get(offset..offset + 8));
        prop_assert_eq!(packet.bytes::<1>(offset).map(|one| &one[..]), bytes.get(offset..offset + 1));
        prop_assert_eq!(packet.is_empty(), bytes.is_empty());
    }
}

/// That the guard guards: without it, the tests above would prove nothing.
#[test]
fn the_byte_after_a_packet_cannot_be_read() {
    let mut page = Guarded::new();
    let bytes = page.place(b"last");
    let after = bytes.as_ptr_range().end;
    // SAFETY: fork in a test that does nothing but read one byte and leave.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            // SAFETY: not safe at all, which is what is shown; the process ends here one way or the other.
            unsafe {
                after.read_volatile();
                nix::libc::_exit(0)
            }
        }
        nix::unistd::ForkResult::Parent { child } => {
            let status = nix::sys::wait::waitpid(child, None).unwrap();
            let nix::sys::wait::WaitStatus::Signaled(_, signal, _) = status else { panic!("{status:?}") };
            assert_eq!(signal, nix::sys::signal::Signal::SIGSEGV);
        }
    }
}
