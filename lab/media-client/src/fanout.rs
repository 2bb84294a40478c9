//! `fan-out`: `udpsrc ! multiudpsink` whose clients change while it plays. SIGUSR1 adds the newcomer, SIGUSR2 removes it: what
//! GStreamer itself needs for a change, and no command line or protocol besides.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::Args;
use gst::prelude::*;
use nix::sys::signal::{SigSet, Signal};

#[derive(Args)]
pub struct Options {
    /// RTP comes in here
    #[arg(long)]
    port: u16,
    /// HOST:PORT,HOST:PORT…
    #[arg(long)]
    clients: String,
    /// Who comes and goes
    #[arg(long)]
    newcomer: SocketAddr,
}

/// Copies until SIGTERM.
pub fn run(options: &Options) -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGTERM, Signal::SIGINT] {
        signals.add(signal);
    }
    // Before the pipeline has threads, which inherit it.
    signals.thread_block().context("holding signals back")?;
    let text = format!(
        "udpsrc port={} buffer-size=8388608 ! multiudpsink name=out sync=false async=false clients={}",
        options.port, options.clients
    );
    let pipeline = gst::parse::launch(&text).context("the pipeline")?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().ok().context("not a pipeline")?;
    let out = pipeline.by_name("out").context("no multiudpsink")?;
    pipeline.set_state(gst::State::Playing).context("starting to copy")?;
    crate::tell(&serde_json::json!({ "copying": true }));
    let (host, port) = (options.newcomer.ip().to_string(), i32::from(options.newcomer.port()));
    loop {
        match signals.wait().context("waiting for a signal")? {
            Signal::SIGUSR1 => out.emit_by_name::<()>("add", &[&host, &port]),
            Signal::SIGUSR2 => out.emit_by_name::<()>("remove", &[&host, &port]),
            _ => break,
        }
    }
    pipeline.set_state(gst::State::Null).context("ending")?;
    Ok(())
}
