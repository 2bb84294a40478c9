//! The publisher and the viewers of the tests. What they speak on the wire is str0m's, which is no work of ours and so agrees with
//! our servers only if those keep to the standard; pictures are made and decoded by GStreamer.
//!
//! `publish` sends live VP8 or H264 and Opus, `view` watches and decodes, `first-frame` joins again and again, `crowd` is a
//! thousand light viewers at once. All of them print JSON, one object a line. Tokens come from WHIP_TOKEN and WHEP_TOKEN.

mod card;
mod crowd;
mod fanout;
mod keyframe;
mod pictures;
mod publish;
mod session;
mod socket;
mod stamp;
mod tally;
mod uplink;
mod view;
mod viewer;
mod watcher;
mod watchers;
mod webrtcbin;
mod wish;

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result};
use clap::Parser;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static STOPPED: AtomicBool = AtomicBool::new(false);

#[derive(Parser)]
#[command(about = "Publishes by WHIP and views by WHEP")]
enum Cli {
    /// Publish a test picture and sound until SIGTERM
    Publish(publish::Options),
    /// Watch with many viewers, and say every so often what they see
    View(view::Options),
    /// Join, wait for the first decoded picture, leave; again and again
    FirstFrame(view::Tries),
    /// Many light viewers join, watch, and leave, and others may come and go meanwhile
    Crowd(crowd::Options),
    /// Copy plain RTP to clients that come and go, for the benchmarks
    FanOut(fanout::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse() {
        Cli::Publish(options) => ready().and_then(|()| publish::run(&options)),
        Cli::View(options) => ready().and_then(|()| view::run(&options)),
        Cli::FirstFrame(options) => ready().and_then(|()| view::first_frames(&options)),
        Cli::Crowd(options) => heed_signals().and_then(|()| crowd::run(&options)),
        Cli::FanOut(options) => ready().and_then(|()| fanout::run(&options)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("media-client: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Signals noted, and GStreamer ready.
fn ready() -> Result<()> {
    heed_signals()?;
    gst::init().context("starting GStreamer")
}

fn heed_signals() -> Result<()> {
    extern "C" fn note(_: nix::libc::c_int) {
        STOPPED.store(true, Relaxed);
    }
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler only stores to an atomic, which is allowed in a signal handler.
        unsafe { sigaction(signal, &action) }.with_context(|| format!("catching {signal}"))?;
    }
    Ok(())
}

fn stopped() -> bool {
    STOPPED.load(Relaxed)
}

/// One line for whoever reads our log.
fn tell(line: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any more: then there is nobody to tell that either.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Milliseconds of CLOCK_MONOTONIC, as far as 32 bits hold them.
fn now_ms() -> u32 {
    (lab::monotonic_ns() / 1_000_000) as u32
}
