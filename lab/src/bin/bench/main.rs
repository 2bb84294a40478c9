//! What `cargo xtask bench` runs: how many copies one CPU makes by each path, beside the bare kernel broadcast and
//! GStreamer. Rounds are interleaved, so that whatever else the machine does meets all of them; ratios are those of one
//! run. Timing is printed, never asserted.

mod frame;
mod load;
mod machine;
mod report;
mod scene;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::Lab;
use lab::relay::BAD_CONFIGURATION;

use load::Sample;
use machine::Machine;
use report::Report;
use scene::{Scene, Way};

const USAGE: &str = "usage: bench [--quick] [--json FILE]";

struct Options {
    rounds: usize,
    /// How long one way is loaded in one round.
    time: Duration,
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("bench: {error:#}; {USAGE}");
            return ExitCode::from(BAD_CONFIGURATION as u8);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options { rounds: 11, time: Duration::from_millis(500), json: None };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => (options.rounds, options.time) = (5, Duration::from_millis(200)),
            "--json" => options.json = Some(arguments.next().context("--json needs a file")?.into()),
            other => match other.strip_prefix("--json=") {
                Some(file) => options.json = Some(file.into()),
                None => bail!("unknown argument {other}"),
            },
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<()> {
    machine::catch_signals()?;
    // Before anything is started: what is started inherits it.
    let machine = Machine::describe(machine::pin()?)?;
    eprintln!("bench: {machine}; {} interleaved rounds, all on CPU {}", options.rounds, machine.cpu);
    let labs = Way::ALL
        .iter()
        .map(|way| Lab::new(&format!("bench-{}-", way.short())))
        .collect::<Result<Vec<Lab>>>()?;
    let mut scenes = Vec::new();
    for (way, lab) in Way::ALL.iter().zip(&labs) {
        scenes.push(Scene::set(lab, *way).with_context(|| format!("setting up {}", way.name()))?);
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); scenes.len()];
    for round in 0..options.rounds {
        // Back and forth, so that no way always comes after the same other one.
        let order: Vec<usize> =
            if round % 2 == 0 { (0..scenes.len()).collect() } else { (0..scenes.len()).rev().collect() };
        for index in order {
            let sample = scenes[index]
                .measure(options.time)
                .with_context(|| format!("measuring {}", Way::ALL[index].name()))?;
            samples[index].push(sample);
        }
        eprintln!("bench: round {} of {} done", round + 1, options.rounds);
    }
    let report = Report::new(machine, samples);
    print!("{}", report.markdown());
    if let Some(file) = &options.json {
        fs::write(file, report.json()).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}
