//! Which packet is lost: a hash decides, not a clock, so the same packets have the same fate whenever they come.

use aya_ebpf::btf_maps::{Array, LruHashMap, PerCpuArray};
use aya_ebpf::macros::btf_map;

use crate::packet::{Key, Packet};

/// Packets of which it is remembered how often they have come: seconds of them, where repair takes a part of one.
const REMEMBERED: usize = 1 << 16;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What is to be lost on a way; the user writes it.
#[repr(C)]
pub struct Rule {
    seed: u64,
    /// A loss begins with a packet whose hash, of 32 bits, is below this.
    threshold: u64,
    /// How many packets in a row it takes.
    burst: u32,
    /// Not 0: RTCP is lost too.
    rtcp: u32,
}

/// What has come by a way, and what of that was lost.
#[repr(C)]
pub struct Count {
    rtp: u64,
    rtp_lost: u64,
    /// Of these: packets that had come before.
    again: u64,
    again_lost: u64,
    rtcp: u64,
    rtcp_lost: u64,
}

/// Where a way is. Two CPUs may write it at once; then a burst is longer by a packet, or a number comes twice.
#[repr(C)]
pub struct State {
    /// How many more the burst takes.
    left: u64,
    /// RTCP packets so far.
    rtcp: u64,
}

/// A packet on one of the two ways.
#[repr(C)]
struct Coming {
    way: u32,
    key: Key,
}

#[btf_map]
static RULES: Array<Rule, 2> = Array::new();
#[btf_map]
static COUNTS: PerCpuArray<Count, 2> = PerCpuArray::new();
#[btf_map]
static STATES: Array<State, 2> = Array::new();
/// How often each has come.
#[btf_map]
static TIMES: LruHashMap<Coming, u64, REMEMBERED> = LruHashMap::new();

/// Whether this packet is lost on that way; counts it.
#[inline(always)]
pub fn is_lost(way: u32, packet: Packet) -> bool {
    let (Some(rule), Some(count), Some(state)) =
        (RULES.get(way), COUNTS.get_ptr_mut(way), STATES.get_ptr_mut(way))
    else {
        return false;
    };
    // SAFETY: this CPU's own slot; and one that others may write too, but no references to it are kept anywhere.
    let (count, state) = unsafe { (&mut *count, &mut *state) };
    match packet {
        Packet::Rtp(key) => {
            let times = times(way, key);
            let identity = (key.ssrc as u64) << 32 | key.timestamp as u64;
            let lost = is_hit(rule, state, mix(identity).wrapping_add(times << 16 | key.sequence as u64));
            count.rtp += 1;
            count.rtp_lost += lost as u64;
            if times > 0 {
                count.again += 1;
                count.again_lost += lost as u64;
            }
            lost
        }
        Packet::Rtcp => {
            // It has no number of its own.
            state.rtcp += 1;
            let lost = rule.rtcp != 0 && is_hit(rule, state, mix(!state.rtcp));
            count.rtcp += 1;
            count.rtcp_lost += lost as u64;
            lost
        }
    }
}

/// The burst goes on, or this one begins another.
#[inline(always)]
fn is_hit(rule: &Rule, state: &mut State, what: u64) -> bool {
    if state.left > 0 {
        state.left -= 1;
        return true;
    }
    let hit = mix(rule.seed ^ what) >> 32 < rule.threshold;
    if hit {
        state.left = (rule.burst as u64).saturating_sub(1);
    }
    hit
}

/// How often this packet has come before.
#[inline(always)]
fn times(way: u32, key: Key) -> u64 {
    let coming = Coming { way, key };
    if let Some(times) = TIMES.get_ptr_mut(&coming) {
        // SAFETY: a packet does not come twice at the same moment.
        return unsafe {
            *times += 1;
            *times - 1
        };
    }
    let _ = TIMES.insert(&coming, 1, 0);
    0
}

/// SplitMix64.
#[inline(always)]
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
