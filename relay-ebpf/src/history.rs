//! The history: each RTP packet that goes to children is written once, whatever their number, into a ring that all streams share. The
//! daemon looks there when a child asks for what it has lost. As it came, from the RTP header on: no child's headers are in it.

use aya_ebpf::Global;
use relay_common::atomic;
use relay_common::layout::{KEPT, StreamKey};
use relay_common::rtp;

use crate::maps::{HISTORY, HISTORY_HEAD};
use crate::media::{Head, Media};

/// Slots of `HISTORY`, a power of two; 0: there is no history. The loader sets it before the verifier looks, which leaves out
/// what is never run.
#[unsafe(no_mangle)]
static HISTORY_SIZE: Global<u32> = Global::new(0);

/// Whether there is a history.
#[inline(always)]
pub fn is_on() -> bool {
    HISTORY_SIZE.load() != 0
}

/// Keeps one RTP packet of a datagram, so many bytes, whose header says `head`. `load` fetches that many of them (the helper differs
/// between XDP and tc). Nothing is read from where it has just been written: that would wait until the cache has it.
#[inline(always)]
pub fn keep(media: &Media, head: Head, length: u32, load: impl FnOnce(*mut u8, u32) -> i64) {
    let Some(ring) = HISTORY_HEAD.get_ptr_mut(0) else { return };
    // SAFETY: the one value of its map; whoever else writes these words does so by one instruction, too.
    let ring = unsafe { &mut *ring };
    // For the verifier, which must see the comparison.
    let length = core::hint::black_box(length);
    if length > KEPT as u32 {
        atomic::add(&mut ring.too_long, 1);
        return;
    }
    // For the verifier, too: an RTP packet has its header.
    if length < rtp::HEADER as u32 {
        return;
    }
    let number = atomic::take_and_add(&mut ring.next, 1);
    let Some(slot) = HISTORY.get_ptr_mut(number as u32 & (HISTORY_SIZE.load() - 1)) else { return };
    // SAFETY: the slot is this packet's until the ring has come round.
    let slot = unsafe { &mut *slot };
    // What was there is not whole any more, for whoever reads it at this moment.
    // SAFETY: a word of the slot; volatile, or the compiler leaves it out.
    unsafe { (&raw mut slot.serial).write_volatile(0) };
    slot.key = StreamKey { port: media.key.port, reserved: [0; 2], ssrc: head.ssrc };
    slot.sequence = head.sequence;
    slot.length = length as u16;
    slot.came = media.now;
    if load(slot.packet.as_mut_ptr(), length) != 0 {
        // It has a number all the same, and whoever reads must not take it for what is still written: no stream has port 0.
        slot.key.port = 0;
    }
    atomic::publish(&mut slot.serial, number + 1);
}
