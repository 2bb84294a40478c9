//! What `cargo xtask bench` runs. Timing is printed, never asserted.
//!
//! - `fanout`: how many copies one CPU makes by each path, beside the bare kernel broadcast and GStreamer.
//! - `changes`: from SADD to the first packet at the new child, and from SREM to the last one, under load.
//! - `daemon`: what the daemon takes of CPU and memory, and how fast it carries out many changes.
//! - `media`: a broadcast from WHIP to WHEP: first picture, glass to glass, CPU of each node.

mod changes;
mod contestant;
mod copier;
mod cost;
mod daemon;
mod fanout;
mod figures;
mod frame;
mod machine;
mod media;
mod rate;
mod search;
mod stage;
mod stamps;
mod tester;
mod tree;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lab::relay::{BAD_CONFIGURATION, Mode};

const USAGE: &str = "usage: bench [fanout|changes|daemon|media]… [--mode xdp|tc] [--quick] [--json FILE]";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Fanout,
    Changes,
    Daemon,
    Media,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Subject::Fanout => "fanout",
            Subject::Changes => "changes",
            Subject::Daemon => "daemon",
            Subject::Media => "media",
        }
    }
}

struct Options {
    subjects: Vec<Subject>,
    /// Of the relay whose changes and daemon are measured.
    mode: Mode,
    quick: bool,
    json: Option<PathBuf>,
    only: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [copier, arguments @ ..] = &arguments[..]
        && copier == "copier"
    {
        return match copier::run(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("copier: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
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
    let mut options = Options { subjects: Vec::new(), mode: Mode::Xdp, quick: false, json: None, only: Vec::new() };
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value = || value.clone().or_else(|| arguments.next());
        match name {
            "fanout" => options.subjects.push(Subject::Fanout),
            "changes" => options.subjects.push(Subject::Changes),
            "daemon" => options.subjects.push(Subject::Daemon),
            "media" => options.subjects.push(Subject::Media),
            "--quick" => options.quick = true,
            "--only" => options
                .only
                .extend(value().context("--only needs names")?.split(',').map(str::to_owned)),
            "--json" => options.json = Some(value().context("--json needs a file")?.into()),
            "--mode" => options.mode = value().context("--mode needs a mode")?.parse()?,
            _ => bail!("unknown argument {argument}"),
        }
    }
    if options.subjects.is_empty() {
        options.subjects.push(Subject::Fanout);
    }
    Ok(options)
}

fn run(options: &Options) -> Result<()> {
    machine::catch_signals()?;
    let mut measured = Vec::new();
    for subject in &options.subjects {
        let json = match subject {
            Subject::Fanout => fanout(options),
            Subject::Changes => changes::run(options.mode, options.quick),
            Subject::Daemon => daemon::run(options.mode, options.quick),
            Subject::Media => media::run(options.mode, options.quick),
        };
        measured.push((subject.name(), json.with_context(|| format!("measuring {}", subject.name()))?));
    }
    if let Some(file) = &options.json {
        // One subject is the file; several are its parts.
        let text = match &measured[..] {
            [(_, only)] => only.clone(),
            several => {
                let parts: Vec<String> =
                    several.iter().map(|(name, json)| format!("\"{name}\": {}", json.trim_end())).collect();
                format!("{{\n{}\n}}\n", parts.join(",\n"))
            }
        };
        fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

fn fanout(options: &Options) -> Result<String> {
    let lab = lab::Lab::new("bench-")?;
    let stage = stage::Stage::set(&lab, machine::Cpus::choose()?)?;
    let grid = fanout::Grid::new(options.quick);
    let table = fanout::measure(&stage, &grid, &options.only)?;
    for ((who, cell), m) in &table {
        println!("{who} {cell:?} {:?} {:?}", m.costs.iter().map(|c| (c.ns_per_copy.round(), c.lost, c.late)).collect::<Vec<_>>(), m.rates.iter().map(|r| (r.packets.round(), r.generator_limited, r.trials.len())).collect::<Vec<_>>());
    }
    Ok(fanout::json(&table).to_string())
}
