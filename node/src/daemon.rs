//! What every daemon begins with: a log, a runtime, and the signals that end it.

use std::future::Future;
use std::io;

use tokio::signal::unix::{self, SignalKind};

use crate::cli::Failure;
use crate::config::NodeConfig;
use crate::log;

/// Runs a daemon to its end: log, warnings of its configuration, and a runtime around it.
pub fn run<T>(
    node: &NodeConfig,
    own: &[&str],
    serve: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    log::start(node, own)?;
    for warning in &node.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("no runtime: {error}")))?;
    runtime.block_on(serve)
}

/// What ends a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: a person at a terminal.
    Interrupt,
    /// SIGTERM: whatever runs the daemon.
    Terminate,
}

/// SIGINT and SIGTERM, as they come.
#[derive(Debug)]
pub struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> io::Result<Signals> {
        let interrupt = unix::signal(SignalKind::interrupt())?;
        Ok(Signals { interrupt, terminate: unix::signal(SignalKind::terminate())? })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}
