//! What a stream has jumped over is told to the daemon, which asks for it where the stream comes from.

use aya_ebpf::Global;
use relay_common::atomic;
use relay_common::layout::Gap;

use crate::maps::{GAPS, HISTORY_HEAD};
use crate::media::Media;

/// 1: somebody is told, and asks. The loader sets it before the verifier looks, which leaves out what is never run.
#[unsafe(no_mangle)]
static GAPS_TOLD: Global<u8> = Global::new(0);

/// Whether anybody is told.
#[inline(always)]
pub fn are_told() -> bool {
    GAPS_TOLD.load() != 0
}

/// Tells what the packet in hand has jumped over, if anything and if anybody gets the stream.
#[inline(always)]
pub fn tell(media: &Media) {
    if are_told() && media.missing != 0 && media.word.instance() != 0 {
        told(media);
    }
}

/// In a frame of its own: seldom run, and walked once.
#[inline(never)]
fn told(media: &Media) -> u32 {
    let gap =
        Gap { key: media.key, first: media.first_missing, count: media.missing, reserved: 0, now: media.now };
    if let Some(mut entry) = GAPS.reserve(0) {
        entry.write(gap);
        entry.submit(0);
        return 0;
    }
    if let Some(head) = HISTORY_HEAD.get_ptr_mut(0) {
        // SAFETY: the one value of its map; whoever else writes this word does so by one instruction, too.
        atomic::add(unsafe { &mut (*head).untold }, 1);
    }
    1
}
