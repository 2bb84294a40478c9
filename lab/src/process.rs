//! [`Process`]: a handle on a child process of the lab, with its log.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

const TERMINATE_TIMEOUT: Duration = Duration::from_secs(5);
const TAIL_LINES: usize = 20;

/// A process in its own process group. Dropping the handle leaves it running; dropping the lab kills it.
#[derive(Clone)]
pub struct Process {
    child: Arc<Mutex<Child>>,
    pid: u32,
    name: String,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Result<Self> {
        let file = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("sharing the log file")?)
            .stderr(file)
            // A group of its own, so that its helpers can be killed with it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { pid: child.id(), child: Arc::new(Mutex::new(child)), name, log })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// CPU time that it has used, all its threads together.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).context("its CPU time")?;
        // Names may have blanks in them; user and system time are the 14th and 15th field, in hundredths of a second.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks = fields.skip(11).take(2).map(|field| field.parse::<u64>().context("its CPU time"));
        Ok(Duration::from_millis(10 * ticks.sum::<Result<u64>>()?))
    }

    /// All that it has written to stdout and stderr so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The log file.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Its exit status, or `None` while it runs.
    pub fn status(&self) -> Result<Option<ExitStatus>> {
        self.child().try_wait().with_context(|| format!("waiting for {}", self.name))
    }

    /// Sends a signal; no error when it has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = self.child();
        // Under the lock and not yet reaped: the id cannot belong to anybody else.
        if child.try_wait()?.is_none() {
            kill(Pid::from_raw(self.pid as i32), signal)
                .with_context(|| format!("{signal} to {}", self.name))?;
        }
        Ok(())
    }

    /// Waits for its end; an error with the log's tail when the time is up.
    pub fn wait(&self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} still runs after {timeout:?}; its log ends:\n{}", self.name, self.tail());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGTERM, then waits up to five seconds; if that is not enough it is killed and an error comes back.
    pub fn terminate(&self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let ended = self.wait(TERMINATE_TIMEOUT);
        if ended.is_err() {
            self.kill9()?;
        }
        ended
    }

    /// SIGKILL to its whole group, and waits.
    pub fn kill9(&self) -> Result<ExitStatus> {
        let mut child = self.child();
        if child.try_wait()?.is_none() {
            killpg(Pid::from_raw(self.pid as i32), Signal::SIGKILL)
                .with_context(|| format!("killing {}", self.name))?;
        }
        child.wait().with_context(|| format!("waiting for {}", self.name))
    }

    /// The last lines of the log, for error messages.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
