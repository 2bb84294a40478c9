//! The history: each RTP packet that goes to children is written once, whatever their number, into a ring that all streams share. The
//! daemon looks there when a child asks for what it has lost. As it came, from the RTP header on: no child's headers are in it.

use aya_ebpf::Global;
use relay_common::atomic;
use relay_common::layout::{KEPT, StreamKey};
use relay_common::packet::{be16, be32};
use relay_common::rtp;

use crate::classify::Media;
use crate::maps::{HISTORY, HISTORY_HEAD};

/// Slots of `HISTORY`, a power of two; 0: there is no history. The loader sets it before the verifier looks, which leaves out
/// what is never run.
#[unsafe(no_mangle)]
static HISTORY_SIZE: Global<u32> = Global::new(0);

/// 1: this machine's processors keep stores in order, so that a packet is published by a store. An atomic exchange waits for all stores
/// before it, which miss the cache as soon as the ring is larger than it: most of what keeping a packet costs. The loader sets it.
#[unsafe(no_mangle)]
static STORES_IN_ORDER: Global<u8> = Global::new(0);

/// Whether there is a history.
#[inline(always)]
pub fn is_on() -> bool {
    HISTORY_SIZE.load() != 0
}

/// Keeps one packet of a datagram, so many RTP bytes, if it is RTP. `load` fetches that many of them (the helper differs between XDP
/// and tc).
#[inline(always)]
pub fn keep(media: &Media, length: u32, load: impl FnOnce(*mut u8, u32) -> i64) {
    let Some(head) = HISTORY_HEAD.get_ptr_mut(0) else { return };
    // SAFETY: the one value of its map; whoever else writes these words does so by one instruction, too.
    let head = unsafe { &mut *head };
    // For the verifier, which must see the comparison.
    let length = core::hint::black_box(length);
    if length > KEPT as u32 {
        atomic::add(&mut head.too_long, 1);
        return;
    }
    if length < rtp::HEADER as u32 {
        return;
    }
    let number = atomic::take_and_add(&mut head.next, 1);
    let Some(slot) = HISTORY.get_ptr_mut(number as u32 & (HISTORY_SIZE.load() - 1)) else { return };
    // SAFETY: the slot is this packet's until the ring has come round.
    let slot = unsafe { &mut *slot };
    // What was there is not whole any more, for whoever reads it at this moment.
    // SAFETY: a word of the slot; volatile, or the compiler leaves it out.
    unsafe { (&raw mut slot.serial).write_volatile(0) };
    let loaded = load(slot.packet.as_mut_ptr(), length) == 0;
    let packet = &slot.packet;
    let is_kept = loaded && packet[0] >> 6 == 2 && !rtp::is_rtcp(packet[1]);
    // What is not kept has a number all the same, and whoever reads must not take it for what is still written: no stream has port 0.
    let (port, length) = if is_kept { (media.key.port, length as u16) } else { (0, 0) };
    slot.key = StreamKey { port, reserved: [0; 2], ssrc: be32::<8>(packet) };
    slot.sequence = be16(packet, 2);
    slot.length = length;
    slot.came = media.now;
    if STORES_IN_ORDER.load() != 0 {
        atomic::publish_in_order(&mut slot.serial, number + 1);
    } else {
        atomic::publish(&mut slot.serial, number + 1);
    }
}
