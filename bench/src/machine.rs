//! The machine: what it is, which CPU does what and with which priority.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// What the figures were measured on.
#[derive(Clone, Debug)]
pub struct Machine {
    pub model: String,
    pub kernel: String,
    pub cpus: usize,
    /// Measured processes were not disturbed by others.
    pub realtime: bool,
}

impl Machine {
    pub fn describe() -> Result<Self> {
        let info = fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
        let model = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or(std::env::consts::ARCH, |(_, model)| model.trim());
        let kernel =
            fs::read_to_string("/proc/sys/kernel/osrelease").context("reading the kernel's version")?;
        let cpus = info.lines().filter(|line| line.starts_with("processor")).count();
        let realtime = with_priority(Priority::Generator, || ()).is_ok();
        Ok(Self { model: model.to_owned(), kernel: kernel.trim().to_owned(), cpus, realtime })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} CPUs, Linux {}", self.model, self.cpus, self.kernel)
    }
}

/// Which CPU does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// The last one that may be used: all that is measured runs here.
    pub tested: usize,
    /// Another one, for the generator when it has a schedule to keep, and for whatever else there is to do.
    pub tester: usize,
}

impl Cpus {
    /// Takes the first and the last CPU that this process may use.
    pub fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("asking for the CPUs")?;
        let usable: Vec<usize> =
            (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
        let (tester, tested) = (usable.first().copied(), usable.last().copied());
        let (Some(tester), Some(tested)) = (tester, tested) else { bail!("no CPU to run on") };
        ensure!(tester != tested, "one CPU is not enough: the generator needs one of its own");
        Ok(Self { tested, tester })
    }
}

/// Runs something on one CPU; threads and processes that it starts keep to it.
pub fn on_cpu<T>(cpu: usize, work: impl FnOnce() -> T) -> Result<T> {
    let before = sched_getaffinity(Pid::from_raw(0)).context("asking for the CPUs")?;
    set_affinity(0, cpu)?;
    let done = work();
    sched_setaffinity(Pid::from_raw(0), &before).context("going back to all CPUs")?;
    Ok(done)
}

/// Ties a thread to one CPU; 0 is the calling one.
pub fn set_affinity(thread: i32, cpu: usize) -> Result<()> {
    let mut one = CpuSet::new();
    one.set(cpu).context("choosing a CPU")?;
    sched_setaffinity(Pid::from_raw(thread), &one).with_context(|| format!("moving {thread} to CPU {cpu}"))
}

/// Takes real-time priority from all threads of a process: it then shares its CPU with the kernel's as any other does, and
/// both are preferred to whatever else runs on this machine.
pub fn make_ordinary(process: u32) -> Result<()> {
    for task in fs::read_dir(format!("/proc/{process}/task")).context("the process's threads")?.flatten() {
        let thread = task.file_name().to_str().and_then(|name| name.parse().ok()).context("a thread's id")?;
        prefer(thread);
    }
    Ok(())
}

/// Prefers a thread to all others without real-time priority.
pub fn prefer(thread: i32) {
    set_scheduler(thread, libc::SCHED_OTHER, 0);
    // SAFETY: no memory is involved. Where it is not allowed, others disturb more.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, thread as u32, -20) };
}

/// Gives a thread real-time priority.
pub fn make_realtime(thread: i32) {
    set_scheduler(thread, libc::SCHED_FIFO, Priority::Generator as i32);
}

/// Gives a kernel thread that copies the priority of a process that does: before the generator.
pub fn before_generator(thread: i32) {
    set_scheduler(thread, libc::SCHED_FIFO, Priority::Process as i32);
}

/// Keeps a CPU from going to sleep, in a thread that runs only when nothing else wants to; as `idle=poll` would. Leaving
/// sleep costs a virtual machine tens of microseconds.
pub struct Awake {
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl Awake {
    pub fn keep(cpu: usize) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let worker = std::thread::spawn(move || {
            if set_affinity(0, cpu).is_err() || !set_scheduler(0, libc::SCHED_IDLE, 0) {
                return;
            }
            while !stopped.load(Relaxed) {
                std::hint::spin_loop();
            }
        });
        Ok(Self { stop, worker: Some(worker) })
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
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
    let raised = set_scheduler(0, libc::SCHED_FIFO, priority as i32);
    let done = work();
    if raised {
        set_scheduler(0, libc::SCHED_OTHER, 0);
        Ok(done)
    } else {
        Err(done)
    }
}

/// 0 is the calling thread.
fn set_scheduler(thread: i32, policy: i32, priority: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the structure lives through the call.
    unsafe { libc::sched_setscheduler(thread, policy, &raw const parameters) == 0 }
}
