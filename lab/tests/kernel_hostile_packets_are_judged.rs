//! Hostile packets by a seed, an independent predicate, and a judge who compares bytes and books: no copy is corrupted,
//! misaddressed, doubled, missing or reordered; what is not for children goes to the stack untouched; every packet is counted.
//!
//! `MEDIA_TREE_PACKETS=N` and `MEDIA_TREE_SEED=S` (or `cargo xtask judge`) make it as long as one likes.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod judge;
mod kernel_support;
#[path = "common/random.rs"]
mod random;

use std::time::Instant;

use judge::court::Court;
use kernel_support::with_kernel;
use relay_ctl::kernel::Mode;

const PACKETS: u64 = 100_000;
const SEED: u64 = 1;
/// Packets between two lines of a long run.
const ROUND: u64 = 1_000_000;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

fn judge(mode: Mode) {
    let (packets, seed) = (number("MEDIA_TREE_PACKETS", PACKETS), number("MEDIA_TREE_SEED", SEED));
    with_kernel("hostile", mode, |kernel| {
        let started = Instant::now();
        let mut court = Court::new(kernel, mode, seed);
        while court.packets < packets && court.findings.is_empty() {
            let round = ROUND.min(packets - court.packets);
            // A real frame costs as much as many runs of the program.
            court.run_frames(round / 4, if mode == Mode::Tc { 10 } else { 0 });
            court.run_programs(round - round / 4);
            let (seconds, copies) = (started.elapsed().as_secs_f64(), court.copies);
            println!("{mode}: {} packets, {copies} copies, seed {seed}, {seconds:.1} s", court.packets);
        }
        let findings = court.findings.iter();
        let findings: Vec<String> =
            findings.map(|(what, (times, example))| format!("{times} times: {what}\n  {example}")).collect();
        assert!(findings.is_empty(), "{mode}, seed {seed}:\n{}", findings.join("\n"));
    });
}

#[test]
fn in_xdp_mode() {
    judge(Mode::Xdp);
}

#[test]
fn in_tc_mode() {
    judge(Mode::Tc);
}
