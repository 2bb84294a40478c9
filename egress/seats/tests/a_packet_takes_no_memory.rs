//! Sealing and sending a packet allocates nothing: what it takes was set aside before. (By the program, that is: OpenSSL has an
//! allocator of its own.)
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::UdpSocket;
use std::sync::Arc;

use seats::Seat;
use seats::send::{Batch, Path};
use seats::srtp::{Error, Keys, Profile, Sealer};

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: all that it does is the system's allocator's, and to count.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|allocated| allocated.set(allocated.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_packet_takes_no_memory() {
    let viewer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let path = Path::Udp(viewer.local_addr().unwrap());
    let mut batch = Batch::new(Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap())).unwrap();
    let header = [0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8];
    let payload = [7; 1000];
    for profile in [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::Aes128Cm] {
        let keys = Keys::from_dtls(profile, &vec![7; profile.keying_material()], false).unwrap();
        let mut sealer = Sealer::new(&keys).unwrap();
        let mut round = |packets: u32| {
            for roc in 0..packets {
                let length = header.len() + payload.len() + profile.rtp_overhead();
                let sealed = batch.push(Seat(u64::from(roc / 4)), &path, length, |room| {
                    sealer.rtp(roc, &header, &[&payload[..2], &payload[2..]], room)
                });
                sealed.unwrap_or_else(|error: Error| panic!("{error}"));
            }
            batch.flush();
        };
        // The first round sets aside what messages need.
        round(2000);
        let before = ALLOCATED.get();
        assert!(before > 0, "nothing is counted");
        round(1000);
        assert_eq!(ALLOCATED.get() - before, 0, "{profile:?}");
    }
}
