//! [`Control`]: shell commands into a guest and what became of them, one line each way over a virtio serial port.
//!
//! There: the seconds it may take, and the command in base64. Back: its exit code, and its output in base64.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use lab::interrupt;

/// By so much longer than the guest the host waits for a command to end.
const GRACE: Duration = Duration::from_secs(30);
/// How often a wait looks whether it is over.
const POLL: Duration = Duration::from_millis(100);

/// What a command in a guest said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Exit code.
    pub code: i32,
    /// What it printed, and what it complained about.
    pub output: String,
}

/// The host's end of the port.
pub(super) struct Control {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Control {
    /// Waits for QEMU's socket, then for the guest to say that it is ready.
    pub fn connect(path: &Path, limit: Duration, alive: impl Fn() -> bool) -> Result<Self> {
        let deadline = Instant::now() + limit;
        let stream = loop {
            interrupt::check()?;
            if let Ok(stream) = UnixStream::connect(path) {
                break stream;
            }
            ensure!(alive() && Instant::now() < deadline, "QEMU does not open {}", path.display());
            std::thread::sleep(POLL);
        };
        stream.set_read_timeout(Some(POLL))?;
        let mut control = Self { stream, received: Vec::new() };
        let greeting = control.line(deadline)?;
        ensure!(greeting == "ready", "the guest says `{greeting}`");
        Ok(control)
    }

    /// Runs a command to its end, or until the guest kills it: then the exit code is that of SIGKILL, 137.
    pub fn run(&mut self, command: &str, limit: Duration) -> Result<Answer> {
        let deadline = Instant::now() + limit + GRACE;
        let request = format!("{} {}\n", limit.as_secs(), STANDARD.encode(command));
        self.stream.write_all(request.as_bytes()).context("writing to the guest")?;
        answer(&self.line(deadline)?)
    }

    fn line(&mut self, deadline: Instant) -> Result<String> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            interrupt::check()?;
            ensure!(Instant::now() < deadline, "no answer from the guest in time");
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("QEMU has ended"),
                Ok(length) => self.received.extend(&buffer[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error).context("reading from the guest"),
            }
        }
    }
}

fn answer(line: &str) -> Result<Answer> {
    let (code, output) = line.split_once(' ').unwrap_or((line, ""));
    let code = code.parse().with_context(|| format!("the guest answers `{line}`"))?;
    let output = STANDARD.decode(output).with_context(|| format!("the guest answers `{line}`"))?;
    Ok(Answer { code, output: String::from_utf8_lossy(&output).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let said = |code, output: &str| Answer { code, output: output.to_owned() };
        assert_eq!(answer("0 aGkK").unwrap(), said(0, "hi\n"));
        assert_eq!(answer("1 ").unwrap(), said(1, ""));
        assert_eq!(answer("137").unwrap(), said(137, ""));
        assert!(answer("hi").is_err() && answer("0 !").is_err());
    }
}
