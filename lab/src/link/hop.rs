//! The hop in user space: a thread that takes frames from one interface of a namespace and gives them to the other when they are
//! due.

use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::delay::{Delay, OnTheWay};
use super::frames::Frames;
use super::{LOWER, UPPER, Way};
use crate::netns::Lab;
use crate::{disturbed, monotonic_ns};

/// Most frames that leave by an interface at once, however late they are: a quarter of a veth ring of 256.
const IN_A_ROW: usize = 64;
/// The kernel takes them from the ring meanwhile.
const PAUSE_NS: u64 = 200_000;
/// How often the thread looks whether it shall stop, when nothing comes.
const STOP_POLL_NS: u64 = 20_000_000;
/// A frame that the interface refuses is tried again so often.
const RETRIES: u32 = 50;
const RETRY_PAUSE: Duration = Duration::from_micros(50);
/// Who forwards so late did not get a CPU.
const MUCH_TOO_LATE: Duration = Duration::from_millis(5);

/// What a hop has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Frames down.
    pub down: u64,
    /// Frames up.
    pub up: u64,
    /// RTP packets that were held back, to be overtaken.
    pub held: u64,
    /// Frames that it lost itself: a fault of the test.
    pub lost: u64,
    /// Longest time that a frame went later than it was due.
    pub worst_lag: Duration,
}

/// A running hop; dropping it ends it.
pub(super) struct Hop {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    delay: Mutex<Delay>,
    /// Down, up.
    carried: [AtomicU64; 2],
    held: AtomicU64,
    lost: AtomicU64,
    worst_lag_ns: AtomicU64,
}

impl Hop {
    pub(super) fn start(lab: &Lab, ns: &str, delay: Delay) -> Result<Self> {
        let ends = [Frames::open(lab, ns, UPPER)?, Frames::open(lab, ns, LOWER)?];
        let shared = Arc::new(Shared { delay: Mutex::new(delay), ..Shared::default() });
        let carrier =
            Carrier { ends, ways: [OnTheWay::default(), OnTheWay::default()], shared: Arc::clone(&shared) };
        let worker = std::thread::Builder::new()
            .name(ns.to_owned())
            .spawn(move || carrier.run())
            .context("starting a hop's thread")?;
        Ok(Self { shared, worker: Some(worker) })
    }

    pub(super) fn delay(&self, delay: Delay) {
        *self.shared.delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }

    pub(super) fn carried(&self) -> Carried {
        let shared = &self.shared;
        Carried {
            down: shared.carried[0].load(Relaxed),
            up: shared.carried[1].load(Relaxed),
            held: shared.held.load(Relaxed),
            lost: shared.lost.load(Relaxed),
            worst_lag: Duration::from_nanos(shared.worst_lag_ns.load(Relaxed)),
        }
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(Err(panic)) = self.worker.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
        let Carried { lost, worst_lag, .. } = self.carried();
        if lost > 0 {
            disturbed(&format!("a hop of the lab lost {lost} frames itself"));
        }
        if worst_lag > MUCH_TOO_LATE {
            disturbed(&format!("a hop of the lab was up to {} ms late", worst_lag.as_millis()));
        }
    }
}

struct Carrier {
    /// Upper, lower.
    ends: [Frames; 2],
    /// Down, up: what has come from the end of that number.
    ways: [OnTheWay; 2],
    shared: Arc<Shared>,
}

impl Carrier {
    fn run(mut self) {
        let _ = nix::sys::prctl::set_timerslack(1);
        go_first();
        while !self.shared.stop.load(Relaxed) {
            let full = self.take_in();
            let more = self.give_out();
            let due = self.ways.iter().filter_map(OnTheWay::due).min().unwrap_or(u64::MAX);
            let now = monotonic_ns();
            let wait = if full {
                0
            } else if more {
                PAUSE_NS
            } else {
                due.saturating_sub(now).min(STOP_POLL_NS)
            };
            self.wait(wait);
        }
    }

    /// Until something comes, or for so long.
    fn wait(&self, ns: u64) {
        let mut fds = [0, 1].map(|end: usize| PollFd::new(self.ends[end].as_fd(), PollFlags::POLLIN));
        // An early return (a signal) only means another turn.
        let _ = ppoll(&mut fds, Some(TimeSpec::from(Duration::from_nanos(ns))), None);
    }

    /// Takes what has come; true if there may be more.
    fn take_in(&mut self) -> bool {
        let delay = *self.shared.delay.lock().unwrap_or_else(PoisonError::into_inner);
        let mut full = false;
        for (end, way) in [(0, Way::Down), (1, Way::Up)] {
            let mut taken = 0;
            // An error here is a pending one of the interface (it is down), and reading it has cleared it.
            while taken < IN_A_ROW
                && let Ok(Some((frame, rtp))) = self.ends[end].receive()
            {
                self.ways[end].push(way, delay, rtp, frame, monotonic_ns());
                taken += 1;
            }
            full |= taken == IN_A_ROW;
            self.shared.lost.fetch_add(self.ends[end].overflowed(), Relaxed);
        }
        self.shared.held.store(self.ways.iter().map(|way| way.held).sum(), Relaxed);
        full
    }

    /// Gives what is due to the other end; true if there is more.
    fn give_out(&mut self) -> bool {
        let mut more = false;
        for (from, to) in [(0, 1), (1, 0)] {
            for _ in 0..IN_A_ROW {
                let now = monotonic_ns();
                let Some(due) = self.ways[from].due() else { break };
                let Some(frame) = self.ways[from].pop(now) else { break };
                self.shared.worst_lag_ns.fetch_max(now - due, Relaxed);
                let counter =
                    if self.send(to, &frame) { &self.shared.carried[from] } else { &self.shared.lost };
                counter.fetch_add(1, Relaxed);
            }
            more |= self.ways[from].due().is_some_and(|due| due <= monotonic_ns());
        }
        more
    }

    fn send(&self, to: usize, frame: &[u8]) -> bool {
        for _ in 0..RETRIES {
            if self.ends[to].send(frame).is_ok() {
                return true;
            }
            std::thread::sleep(RETRY_PAUSE);
        }
        false
    }
}

/// Before all that has no real-time priority: what the machine does besides is not to be measured as delay.
fn go_first() {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: the calling thread, and parameters that live through the call. Where it is not allowed, others disturb more.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
}
