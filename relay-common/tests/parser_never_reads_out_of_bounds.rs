//! Any bytes at all, cut off anywhere, right in front of a page that cannot be read: an over-read is a crash, not luck.
//!
//! The fuzz target `packet` (see fuzz/README.md) has the same check, and finds its bytes by what the parser does with them.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use common::bounds::{Guarded, check};
use common::{damage, damaged, frame};
use proptest::prelude::*;
use relay_common::packet::Packet;
use relay_common::parse;

fn check_at_every_length(bytes: &[u8]) {
    let mut page = Guarded::new();
    for length in 0..=bytes.len() {
        let cut = page.place(&bytes[..length]);
        check(cut, length);
        // A socket buffer that goes on where the program cannot look.
        check(cut, bytes.len());
        let _ = parse::payload_of(cut, false);
    }
}

proptest! {
    #[test]
    fn any_bytes_at_every_length(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        check_at_every_length(&bytes);
    }

    #[test]
    fn valid_frames_with_some_damage_at_every_length(frame in frame(), damage in damage()) {
        check_at_every_length(&damaged(frame.bytes(), &damage));
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
