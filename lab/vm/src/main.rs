//! What `cargo xtask test vm` runs: the relay on Debian's kernels and on the network cards that QEMU has. Each machine is
//! booted, tried and taken away; the exit code says whether all was as `expect` wants it.

mod expect;
mod machine;
mod media;
mod relay;
mod table;
mod trial;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use lab::interrupt;
use lab::relay::{BAD_CONFIGURATION, relay_ctl, workspace};

use crate::machine::{Card, Kernel, Series};

const USAGE: &str = "usage: vm [--quick] [6.12|6.12-rt|6.1 …] [virtio-1|virtio-4|vmxnet3|e1000e …]";

struct Options {
    kernels: Vec<Series>,
    cards: Vec<Card>,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("vm: {error:#}; {USAGE}");
            return ExitCode::from(BAD_CONFIGURATION as u8);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Kernels and cards that are named, or all; `--quick` is 6.12 with virtio.
fn options(arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options { kernels: Vec::new(), cards: Vec::new() };
    for argument in arguments {
        if argument == "--quick" {
            options.kernels.push(Series::V6_12);
            options.cards.push(Card::Virtio);
        } else if let Some(series) = Series::ALL.into_iter().find(|series| series.to_string() == argument) {
            options.kernels.push(series);
        } else if let Some(card) = Card::ALL.into_iter().find(|card| card.to_string() == argument) {
            options.cards.push(card);
        } else {
            bail!("unknown argument {argument}");
        }
    }
    if options.kernels.is_empty() {
        options.kernels = Series::ALL.to_vec();
    }
    if options.cards.is_empty() {
        options.cards = Card::ALL.to_vec();
    }
    Ok(options)
}

/// True when all was as wanted.
fn run(options: &Options) -> Result<bool> {
    let started = Instant::now();
    interrupt::catch()?;
    let relay = relay_ctl();
    ensure!(relay.exists(), "no {}; run `cargo xtask build-ebpf && cargo build --release`", relay.display());
    let store = workspace().join("target/vm");
    let mut all = Vec::new();
    for &series in &options.kernels {
        println!("[vm] looking for the newest kernel {series}");
        let kernel = Kernel::newest(series, &store)?;
        for &card in &options.cards {
            interrupt::check()?;
            println!("[vm] {}, {card}", kernel.release);
            all.push(trial::run(&kernel, card));
        }
    }
    interrupt::check()?;
    println!("\n{}", table::render(&all));
    let checks =
        || all.iter().flat_map(|findings| findings.checks.iter().map(move |check| (findings, check)));
    for (findings, check) in checks().filter(|(_, check)| !check.passed) {
        let seen = check.seen.lines().next().unwrap_or_default();
        println!("FAILED {}, {}: {}: {seen}", findings.release, findings.card, check.what);
    }
    let failed = checks().filter(|(_, check)| !check.passed).count();
    println!("[vm] {:.1} minutes", started.elapsed().as_secs_f64() / 60.0);
    println!("{} passed, {failed} failed", checks().count() - failed);
    Ok(failed == 0)
}
