//! Which CPU copies a stream (`--cpus`).

use super::StreamKey;

/// Most CPUs that streams are spread over.
pub const MAX_SPREAD: usize = 64;

/// Value of `SPREAD`, which is not pinned: each load of the programs has its own, and its own `CPUS`, so that exchanging the
/// program exchanges all three at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Spread {
    /// The kernel's number of the `CPUS` map that belongs to this.
    pub map: u32,
    /// How many CPUs.
    pub count: u32,
    /// Their numbers, which are the keys of `CPUS`.
    pub cpus: [u32; MAX_SPREAD],
}

impl Spread {
    /// Over these CPUs, the first [`MAX_SPREAD`] of them.
    pub fn over(cpus: &[u32], map: u32) -> Spread {
        let mut spread = Spread { map, count: 0, cpus: [0; MAX_SPREAD] };
        for (place, cpu) in spread.cpus.iter_mut().zip(cpus) {
            *place = *cpu;
            spread.count += 1;
        }
        spread
    }

    /// The CPU that copies a stream: always the same one, so that its packets stay in order and its statistics have one
    /// writer.
    #[inline(always)]
    pub fn cpu(&self, key: &StreamKey) -> u32 {
        // Multiplied by 2^64 / golden ratio: the high bits then depend on all of the key, and streams numbered one after the
        // other fall far apart. The second product is in 0..count, without the bias of a modulus.
        let mixed = ((key.port as u64) << 32 | key.ssrc as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = ((mixed >> 32) * self.count as u64) >> 32;
        self.cpus[place as usize & (MAX_SPREAD - 1)]
    }
}
