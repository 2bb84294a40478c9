//! `cargo xtask judge`: the tests of the kernel data planes that draw what they try, with numbers too large for every day.

use anyhow::Result;

use crate::{sh, suite};

const TESTS: [&str; 2] = ["hostile_packets_are_judged", "copies_never_wait_in_the_ring"];

/// So many hostile packets in each mode, by this seed, and every mix of children.
pub fn run(packets: u64, seed: u64) -> Result<()> {
    let environment = [
        ("MEDIA_TREE_PACKETS", packets.to_string()),
        ("MEDIA_TREE_SEED", seed.to_string()),
        ("MEDIA_TREE_MIXES", "all".to_owned()),
    ];
    sh::say(format!("{packets} hostile packets in xdp and in tc mode, seed {seed}; all mixes of children"));
    suite::long_run("judge", "kernel", &TESTS, &environment, |_| {})?;
    sh::say("no disagreement");
    Ok(())
}
