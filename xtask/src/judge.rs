//! `cargo xtask judge`: the tests of the kernel data planes that draw what they try, with numbers too large for every day.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::mounts::Mounts;
use crate::packages::{self, Need};
use crate::{build_ebpf, run, sh};

const TESTS: [&str; 2] = ["kernel_hostile_packets_are_judged", "kernel_copies_never_wait_in_the_ring"];

/// So many hostile packets in each mode, by this seed, and every mix of children.
pub fn run(packets: u64, seed: u64) -> Result<()> {
    packages::install(&[Need::Namespaces])?;
    build_ebpf::check()?;
    run::build_tests(false)?;
    let _mounts = Mounts::remember();
    let started = Instant::now();
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(sh::workspace_root())
        .args(["test", "--release", "--locked", "--no-fail-fast"])
        .args(run::packages(false))
        .args(TESTS.iter().flat_map(|test| ["--test", test]))
        .args(["--", "--test-threads=1", "--nocapture"])
        .env("MEDIA_TREE_PACKETS", packets.to_string())
        .env("MEDIA_TREE_SEED", seed.to_string())
        .env("MEDIA_TREE_MIXES", "all");
    sh::say(format!("{packets} hostile packets in xdp and in tc mode, seed {seed}; all mixes of children"));
    sh::run("judge", &mut cargo)?;
    sh::say(format!("no disagreement (in {:.1} minutes)", started.elapsed().as_secs_f64() / 60.0));
    Ok(())
}
