//! `cargo xtask soak`: the tests of a relay that follows Redis, with numbers too large for every day. They print rows of a
//! table, which are collected at the end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::mounts::Mounts;
use crate::packages::{self, Need};
use crate::{build_ebpf, run, sh};

const TESTS: [&str; 4] = [
    "random_redis_changes_lose_nothing",
    "redis_outage_never_stops_media",
    "a_lost_topology_is_held_for_a_grace",
    "a_redis_that_refuses_is_said",
];

/// Runs them all, whatever becomes of each, and prints the table.
pub fn run(changes: u64, outage: u64) -> Result<()> {
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
        .env("MEDIA_TREE_CHANGES", changes.to_string())
        .env("MEDIA_TREE_OUTAGE_S", outage.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    sh::say(format!("{changes} random changes, Redis away for {outage} s, in each mode"));
    let mut child = cargo.spawn().context("could not start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut rows = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.context("reading what the tests print")?;
        println!("{line}");
        // With --nocapture the first row of a test follows its name on the same line.
        if let Some(row) = line.find("| ").filter(|_| line.ends_with(" |")) {
            rows.push(line[row..].to_owned());
        }
    }
    let status = child.wait().context("waiting for the tests")?;
    println!("\n| mode | event | /status said | /readyz said | seconds to converge |\n|---|---|---|---|---|");
    rows.iter().for_each(|row| println!("{row}"));
    println!();
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    if !status.success() {
        bail!("some failed, see above (after {minutes:.1} minutes)");
    }
    sh::say(format!("nothing lost, duplicated or reordered at any stayer (in {minutes:.1} minutes)"));
    Ok(())
}
