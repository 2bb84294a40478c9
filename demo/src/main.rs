//! What `cargo xtask demo` runs: a broadcast by real servers, from a WHIP publisher through the relay in the kernel to WHEP
//! viewers on two egresses, while egress-2 comes and goes and the relay's daemon is killed. It prints what the viewers lost,
//! and its exit code says whether that was nothing.

mod door;
mod maps;
mod stage;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::node::program;
use lab::relay::{BAD_CONFIGURATION, Mode, relay_ctl};
use lab::{Lab, interrupt};

use crate::stage::Stage;

const USAGE: &str = "usage: demo [--mode auto|xdp|tc|userspace] [--once]";

struct Options {
    mode: Mode,
    once: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("demo: {error:#}; {USAGE}");
            return ExitCode::from(BAD_CONFIGURATION as u8);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options { mode: Mode::Auto, once: false };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--once" => options.once = true,
            "--mode" => options.mode = arguments.next().context("--mode needs a mode")?.parse()?,
            other => match other.strip_prefix("--mode=") {
                Some(mode) => options.mode = mode.parse()?,
                None => bail!("unknown argument {other}"),
            },
        }
    }
    Ok(options)
}

/// True when nothing was lost and everything was seen.
fn run(options: &Options) -> Result<bool> {
    let started = Instant::now();
    interrupt::catch()?;
    check_tools()?;
    say("Redis, injection-1, relay-1, egress-1 and egress-2, each in a network namespace, on one bridge");
    let lab = Lab::new("")?;
    let mut stage = Stage::open(&lab, options.mode)?;
    let shows = stage.play()?;
    stage.print_table(&shows)?;
    let seen = stage.verify_ssrcs()?;
    if stage.mode()? == Mode::Userspace {
        say("bpftool has nothing to show: in userspace mode the children are known to the daemon only");
    } else {
        maps::dump(&stage.relay_pins())?;
    }
    let flawless = shows.iter().all(|show| show.lost() == 0);
    let verdict = match (flawless, seen) {
        (true, true) => "ok: no viewer lost a packet, and both SSRCs seen at egress-2",
        (false, _) => "FAILED: viewers lost packets, see the table",
        (true, false) => "FAILED: a stream did not reach egress-2",
    };
    say(&format!("{verdict} ({:.0} s)", started.elapsed().as_secs_f64()));
    if !options.once {
        stage.stay_up()?;
    }
    say("cleaning up");
    Ok(flawless && seen)
}

fn say(line: &str) {
    println!("[demo] {line}");
}

fn check_tools() -> Result<()> {
    let relay = relay_ctl();
    ensure!(relay.exists(), "no {}; run `cargo xtask build-ebpf && cargo build --release`", relay.display());
    for name in ["injection", "egress", "media-client"] {
        program(name)?;
    }
    for (program, argument, package) in [
        ("janus", "--version", "janus"),
        ("redis-server", "--version", "redis-server"),
        ("tcpdump", "--version", "tcpdump"),
        ("ethtool", "--version", "ethtool"),
        ("bpftool", "version", "bpftool"),
    ] {
        let found = Command::new(program).arg(argument).output().is_ok();
        ensure!(found, "no {program}; run `apt-get install {package}`");
    }
    Ok(())
}

/// Sleeps, unless somebody wants the demo to end.
fn pause(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
