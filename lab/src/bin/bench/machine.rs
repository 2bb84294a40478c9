//! The machine: one CPU of it for everything, what it is, and how to stop early.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::Pid;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What the figures were measured on.
#[derive(Clone, Debug)]
pub struct Machine {
    pub model: String,
    pub kernel: String,
    pub cpus: usize,
    /// The one used.
    pub cpu: usize,
    /// Measured processes were not disturbed by others.
    pub realtime: bool,
}

impl Machine {
    pub fn describe(cpu: usize) -> Result<Self> {
        let info = fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
        let model = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or(std::env::consts::ARCH, |(_, model)| model.trim());
        let kernel =
            fs::read_to_string("/proc/sys/kernel/osrelease").context("reading the kernel's version")?;
        let cpus = info.lines().filter(|line| line.starts_with("processor")).count();
        let realtime = with_priority(Priority::Generator, || ()).is_ok();
        Ok(Self { model: model.to_owned(), kernel: kernel.trim().to_owned(), cpus, cpu, realtime })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} CPUs, Linux {}", self.model, self.cpus, self.kernel)
    }
}

/// This process on one CPU; dropping it gives the others back.
pub struct Pinned {
    /// The one used.
    pub cpu: usize,
    allowed: CpuSet,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What is measured next wants all of them; if this fails it is only slower.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.allowed);
    }
}

/// Ties this process, and with it all that it starts, to the last CPU it may use. Softirqs follow the generator: veth
/// polls where it was sent to, as long as nobody turns on RPS.
pub fn pin() -> Result<Pinned> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).context("asking for the CPUs")?;
    let cpu = (0..CpuSet::count()).rev().find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let cpu = cpu.context("no CPU to run on")?;
    let mut one = CpuSet::new();
    one.set(cpu).context("choosing a CPU")?;
    sched_setaffinity(Pid::from_raw(0), &one).with_context(|| format!("moving to CPU {cpu}"))?;
    Ok(Pinned { cpu, allowed })
}

/// Real-time priorities: other people's processes do not interrupt these.
#[derive(Clone, Copy)]
pub enum Priority {
    /// Sends when nothing else is to do.
    Generator = 1,
    /// A process that copies.
    Process = 2,
}

/// Runs something with a real-time priority, which threads and processes started meanwhile keep. Where that is not
/// allowed, it is run as it is, and the result comes as an error.
pub fn with_priority<T>(priority: Priority, work: impl FnOnce() -> T) -> Result<T, T> {
    let raised = set_scheduler(libc::SCHED_FIFO, priority as i32);
    let done = work();
    if raised {
        set_scheduler(libc::SCHED_OTHER, 0);
        Ok(done)
    } else {
        Err(done)
    }
}

fn set_scheduler(policy: i32, priority: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the structure lives through the call; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) == 0 }
}

/// Notes Ctrl-C instead of ending at once, so that the labs are taken down.
pub fn catch_signals() -> Result<()> {
    extern "C" fn note(_: libc::c_int) {
        INTERRUPTED.store(true, Relaxed);
    }
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is allowed in a signal handler.
        unsafe { sigaction(signal, &action) }.with_context(|| format!("catching {signal}"))?;
    }
    Ok(())
}

/// An error once somebody has asked to stop.
pub fn check_interrupted() -> Result<()> {
    ensure!(!INTERRUPTED.load(Relaxed), "interrupted");
    Ok(())
}
