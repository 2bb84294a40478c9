//! What every daemon begins with: a log, a runtime, and the signals that end it.

use std::future::Future;
use std::io::{self, IsTerminal};

use tokio::signal::unix::{self, SignalKind};
use tracing_subscriber::EnvFilter;

use crate::cli::Failure;
use crate::config::ConfigError;

/// Logs to stderr what a filter lets through. `own`: the crates that a plain level is about; what the libraries have to
/// say is for whoever asks for it.
pub fn start_log(log: &str, own: &[&str]) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(directives(log, own))
        .map_err(|error| ConfigError(format!("--log {log}: {error}")))?;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
    Ok(())
}

/// Runs a daemon to its end: log, warnings of its configuration, and a runtime around it.
pub fn run<T>(
    log: &str,
    own: &[&str],
    warnings: &[String],
    serve: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    start_log(log, own)?;
    for warning in warnings {
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

fn directives(log: &str, own: &[&str]) -> String {
    match log {
        "error" | "warn" | "info" | "debug" | "trace" => {
            let own = own.iter().chain(&["node"]).map(|name| format!(",{name}={log}"));
            format!("warn{}", own.collect::<String>())
        }
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_level_is_about_our_own_crates() {
        assert_eq!(directives("debug", &["relay_ctl"]), "warn,relay_ctl=debug,node=debug");
        assert_eq!(directives("off", &["relay_ctl"]), "off");
        assert_eq!(directives("hyper=trace", &[]), "hyper=trace");
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let error = start_log("relay_ctl=loud", &[]).unwrap_err();
        assert!(error.0.starts_with("--log relay_ctl=loud: "), "{error}");
    }
}
