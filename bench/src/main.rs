//! What `cargo xtask bench` runs. Timing is printed, never asserted.
//!
//! - `fanout`: CPU time per copy and loss-free rate, by children and packet length, beside everybody else;
//! - `latency`: how long a copy takes, at three rates;
//! - `growth`: what a copy costs with more streams, and what a second receive queue brings;
//! - `spread`: what `--cpus` brings when all media comes in on one CPU;
//! - `history`: what it costs to keep packets that may have to be sent again, in CPU time and memory;
//! - `changes`: from SADD to the first packet at the new child, and from SREM to the last one, under load;
//! - `peers`: the same of the others, as far as they can change at all;
//! - `daemon`: what the daemon takes of CPU and memory, and how fast it carries out many changes;
//! - `media`: a broadcast from WHIP to WHEP: first picture, glass to glass, CPU of each node;
//! - `viewers`: what a viewer costs, at our egress and at others; into a page of its own, docs/capacity.md;
//! - `dashboards`: nothing; it draws the rows of Grafana's dashboards as a real tree fills them, for docs/monitoring.md.

mod changes;
mod contestant;
mod copier;
mod cost;
mod daemon;
mod dashboards;
mod fanout;
mod figures;
mod frame;
mod growth;
mod history;
mod latency;
mod machine;
mod media;
mod peers;
mod queues;
mod rate;
mod report;
mod search;
mod spread;
mod stage;
mod stamps;
mod sysctl;
mod tester;
mod throttle;
mod tree;
mod videoroom;
mod viewers;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use fanout::Cell;
use frame::Frame;
use lab::Lab;
use lab::relay::{BAD_CONFIGURATION, Mode, workspace};

use machine::{Cpus, Machine};
use report::Report;
use stage::Stage;
use viewers::Server;

const USAGE: &str = "usage: bench [fanout|latency|growth|spread|history|changes|peers|daemon|media|all]…|viewers|dashboards [--mode xdp|tc|userspace] [--quick] [--only NAME,…] \
                     [--cells LENGTHxCHILDREN,…] [--viewers NUMBER,…] [--costs] [--json FILE] [--write DOCS]";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Fanout,
    Latency,
    Growth,
    Spread,
    History,
    Changes,
    Peers,
    Daemon,
    Media,
    Viewers,
    Dashboards,
}

impl Subject {
    /// All that are measured in one go.
    const ALL: [Subject; 8] = [
        Subject::Fanout,
        Subject::Latency,
        Subject::Growth,
        Subject::Spread,
        Subject::History,
        Subject::Changes,
        Subject::Peers,
        Subject::Daemon,
    ];
}

struct Options {
    subjects: Vec<Subject>,
    /// Of the relay whose changes, daemon and broadcast are measured; none: of changes all, of the others xdp.
    mode: Option<Mode>,
    quick: bool,
    /// These contestants; none: all.
    only: Vec<String>,
    /// These cells of the fan-out tables; none: all.
    cells: Vec<Cell>,
    /// So many viewers; none: as usual.
    viewers: Vec<usize>,
    /// CPU time only, no loss-free rates.
    costs: bool,
    json: Option<PathBuf>,
    /// The folder of the page that the tables go into.
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match &arguments[..] {
        [copier, arguments @ ..] if copier == "copier" => copier::run(arguments),
        _ => match options(arguments.into_iter()) {
            Ok(options) => run(&options),
            Err(error) => {
                eprintln!("bench: {error:#}; {USAGE}");
                return ExitCode::from(BAD_CONFIGURATION as u8);
            }
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options {
        subjects: Vec::new(),
        mode: None,
        quick: false,
        only: Vec::new(),
        cells: Vec::new(),
        viewers: Vec::new(),
        costs: false,
        json: None,
        write: None,
    };
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value = || value.clone().or_else(|| arguments.next());
        match name {
            "fanout" => options.subjects.push(Subject::Fanout),
            "latency" => options.subjects.push(Subject::Latency),
            "growth" => options.subjects.push(Subject::Growth),
            "spread" => options.subjects.push(Subject::Spread),
            "history" => options.subjects.push(Subject::History),
            "changes" => options.subjects.push(Subject::Changes),
            "peers" => options.subjects.push(Subject::Peers),
            "daemon" => options.subjects.push(Subject::Daemon),
            "media" => options.subjects.push(Subject::Media),
            "viewers" => options.subjects.push(Subject::Viewers),
            "dashboards" => options.subjects.push(Subject::Dashboards),
            "all" => options.subjects.extend(Subject::ALL),
            "--quick" => options.quick = true,
            "--only" => {
                let names = value().context("--only needs names")?;
                options.only.extend(names.split(',').map(str::to_owned));
            }
            "--costs" => options.costs = true,
            "--cells" => {
                for text in value().context("--cells needs cells")?.split(',') {
                    options.cells.push(cell(text).with_context(|| format!("{text} is no cell"))?);
                }
            }
            "--viewers" => {
                for text in value().context("--viewers needs numbers")?.split(',') {
                    let number: usize = text
                        .parse()
                        .ok()
                        .filter(|number| *number > 0)
                        .with_context(|| format!("{text} is no number of viewers"))?;
                    options.viewers.push(number);
                }
            }
            "--json" => options.json = Some(value().context("--json needs a file")?.into()),
            "--write" => options.write = Some(value().context("--write needs a folder")?.into()),
            "--mode" => options.mode = Some(value().context("--mode needs a mode")?.parse()?),
            _ => bail!("unknown argument {argument}"),
        }
    }
    let viewers = options.subjects.contains(&Subject::Viewers);
    let alone = |subject| options.subjects.contains(&subject) && options.subjects.len() > 1;
    if alone(Subject::Viewers) || alone(Subject::Dashboards) {
        bail!("viewers and dashboards go by themselves");
    }
    let known =
        |name: &str| if viewers { Server::called(name).is_some() } else { contestant::named(name).is_some() };
    if let Some(name) = options.only.iter().find(|name| !known(name)) {
        bail!("no contestant {name}");
    }
    if options.subjects.is_empty() {
        options.subjects.push(Subject::Fanout);
    }
    Ok(options)
}

/// `214x8`: frames of so many bytes, to so many children.
fn cell(text: &str) -> Option<Cell> {
    let (length, children) = text.split_once('x')?;
    let cell = (length.parse().ok()?, children.parse().ok()?);
    (Frame::possible(cell.0) && (1..=stage::MAX_CHILDREN).contains(&cell.1)).then_some(cell)
}

fn run(options: &Options) -> Result<()> {
    lab::interrupt::catch()?;
    if options.subjects == [Subject::Viewers] {
        return of_viewers(options);
    }
    if options.subjects == [Subject::Dashboards] {
        return of_dashboards(options);
    }
    let began = Instant::now();
    let machine = Machine::describe()?;
    let _unthrottled = throttle::lift()?;
    eprintln!("bench: {machine}");
    let mut report = Report {
        machine,
        fanout: fanout::Table::new(),
        latency: Vec::new(),
        growth: Vec::new(),
        queues: Vec::new(),
        others: Vec::new(),
        seconds: 0.0,
    };
    between_generator_and_receivers(options, &mut report)?;
    let mode = options.mode.unwrap_or(Mode::Xdp);
    for subject in &options.subjects {
        match subject {
            Subject::Changes => {
                for (name, mode) in modes(options.mode) {
                    report.add(name, changes::run(mode, options.quick))?;
                }
            }
            Subject::Spread => report.add("spread", spread::run(options.quick))?,
            Subject::History => report.add("history", history::run(options.quick))?,
            Subject::Peers => report.add("peers", peers::run(options.quick))?,
            Subject::Daemon => report.add("daemon", daemon::run(mode, options.quick))?,
            Subject::Media => report.add("media", media::run(mode, options.quick))?,
            Subject::Fanout | Subject::Latency | Subject::Growth => {}
            Subject::Viewers | Subject::Dashboards => {}
        }
    }
    report.seconds = began.elapsed().as_secs_f64();
    println!("{}", report.markdown());
    if let Some(file) = &options.json {
        fs::write(file, report.json().to_string()).with_context(|| format!("writing {}", file.display()))?;
    }
    if let Some(docs) = &options.write {
        report.write(docs)?;
    }
    Ok(())
}

/// `viewers`.
fn of_viewers(options: &Options) -> Result<()> {
    let only: Vec<Server> = options.only.iter().filter_map(|name| Server::called(name)).collect();
    let results = viewers::run(options.quick, &only, &options.viewers).context("measuring viewers")?;
    println!("{}", results.markdown());
    if let Some(file) = &options.json {
        fs::write(file, results.json()).with_context(|| format!("writing {}", file.display()))?;
    }
    options.write.as_deref().map_or(Ok(()), |docs| results.write(docs))
}

/// `dashboards`: into the documents, or where they can be looked at.
fn of_dashboards(options: &Options) -> Result<()> {
    let docs = options.write.clone().unwrap_or_else(|| workspace().join("target"));
    dashboards::run(options.quick, &docs.join("monitoring")).context("drawing dashboards")
}

/// In which modes changes are measured, and what the figures are called.
fn modes(only: Option<Mode>) -> Vec<(&'static str, Mode)> {
    let all = [("changes", Mode::Xdp), ("changes_tc", Mode::Tc), ("changes_userspace", Mode::Userspace)];
    all.into_iter().filter(|(_, mode)| only.is_none_or(|only| only == *mode)).collect()
}

/// The subjects that share one stage.
fn between_generator_and_receivers(options: &Options, report: &mut Report) -> Result<()> {
    let wanted = |subject| options.subjects.contains(&subject);
    if ![Subject::Fanout, Subject::Latency, Subject::Growth].into_iter().any(wanted) {
        return Ok(());
    }
    let lab = Lab::new("bench-")?;
    let stage = Stage::set(&lab, Cpus::choose()?)?;
    if wanted(Subject::Fanout) {
        let mut grid = fanout::Grid::new(options.quick, &options.cells);
        if options.costs {
            grid.searched = |_| false;
        }
        report.fanout = fanout::measure(&stage, &grid, &options.only).context("measuring fanout")?;
    }
    if wanted(Subject::Latency) {
        report.latency =
            latency::measure(&stage, options.quick, &options.only).context("measuring latency")?;
    }
    if wanted(Subject::Growth) {
        report.growth = growth::measure(&stage, options.quick).context("measuring growth")?;
        report.queues = queues::measure(&stage, options.quick).context("measuring queues")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cells_that_can_be_measured_are_taken() {
        assert_eq!(cell("214x8"), Some((214, 8)));
        for text in ["214", "8x214x", "78x8", "215x8", "1516x8", "214x0", "214x257", "x8", "214x-1", ""] {
            assert_eq!(cell(text), None, "{text}");
        }
        assert!(options(["viewers", "--viewers", "10,0"].map(str::to_owned).into_iter()).is_err());
        assert!(options(["fanout", "--cells", "214x8,nonsense"].map(str::to_owned).into_iter()).is_err());
    }
}
