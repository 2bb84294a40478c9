//! The two clocks: the one that people read, and the data plane's.

use std::time::{SystemTime, UNIX_EPOCH};

/// ms since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// CLOCK_MONOTONIC in ns: the clock of the data plane, and of every `last_seen`.
pub fn monotonic_ns() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map_or(0, |now| now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}
