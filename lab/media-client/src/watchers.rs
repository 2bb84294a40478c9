//! [`Watchers`], [`Seats`]: threads, each with many viewers, that read what has come and do what is due.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::socket::Batch;
use crate::watcher::{Watcher, locked};

/// The longest wait for packets, so that newcomers need not wait.
const LONGEST: u16 = 5;
/// How often is looked whose time has come.
const SWEEP: Duration = Duration::from_millis(5);
/// How often sockets are asked what they had no room for.
const INSPECT: Duration = Duration::from_secs(1);
const READY: usize = 256;

enum Order {
    Sit(u64, Box<Watcher>),
    Leave(u64, bool),
}

/// Viewers' threads.
pub struct Watchers {
    seats: Seats,
    threads: Vec<JoinHandle<()>>,
}

/// Where viewers sit down, and from where they leave.
#[derive(Clone)]
pub struct Seats(Vec<Sender<Order>>);

impl Watchers {
    /// With so many threads. Between two looks each lets packets come together for `nap`: fewer system calls, and what is done about
    /// a packet is done that much later.
    pub fn start(threads: usize, nap: Duration) -> Result<Self> {
        let (mut seats, mut running) = (Vec::new(), Vec::new());
        for number in 0..threads.max(1) {
            let (orders, taken) = channel();
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("epoll")?;
            let thread = thread::Builder::new().name(format!("watchers-{number}"));
            running.push(thread.spawn(move || Room { epoll, nap, watchers: HashMap::new() }.run(&taken))?);
            seats.push(orders);
        }
        Ok(Self { seats: Seats(seats), threads: running })
    }

    pub fn seats(&self) -> &Seats {
        &self.seats
    }

    /// Waits until the threads have done what they were told; nobody else may have seats any more.
    pub fn end(self) -> Result<()> {
        drop(self.seats);
        self.threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow::anyhow!("a thread of viewers has panicked"))
        })
    }
}

impl Seats {
    /// A viewer that has its answer; `id` is nobody else's.
    pub fn sit(&self, id: u64, watcher: Box<Watcher>) {
        self.tell(id, Order::Sit(id, watcher));
    }

    /// A viewer goes, with a goodbye on the media path or without.
    pub fn leave(&self, id: u64, goodbye: bool) {
        self.tell(id, Order::Leave(id, goodbye));
    }

    fn tell(&self, id: u64, order: Order) {
        // Only a thread that has panicked does not listen, and that is said when all end.
        let _ = self.0[(id % self.0.len() as u64) as usize].send(order);
    }
}

struct Room {
    epoll: Epoll,
    nap: Duration,
    watchers: HashMap<u64, Box<Watcher>>,
}

impl Room {
    fn run(mut self, orders: &Receiver<Order>) {
        let mut batch = Batch::new();
        let mut ready = vec![EpollEvent::empty(); READY];
        let (mut swept, mut inspected) = (Instant::now(), Instant::now());
        while self.obey(orders) {
            let wait = if self.nap.is_zero() { LONGEST } else { 0 };
            thread::sleep(self.nap);
            let come = self.epoll.wait(&mut ready, EpollTimeout::from(wait)).unwrap_or_default();
            for event in &ready[..come] {
                self.with(event.data(), |watcher| watcher.read(&mut batch));
            }
            let now = Instant::now();
            if now >= swept + SWEEP {
                swept = now;
                let due = self.watchers.iter().filter(|(_, watcher)| watcher.due <= now);
                for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
                    self.with(id, Watcher::tick);
                }
            }
            if now >= inspected + INSPECT {
                inspected = now;
                self.watchers.values().for_each(|watcher| inspect(watcher));
            }
        }
    }

    /// Lets somebody do something; whoever fails is told why and goes.
    fn with(&mut self, id: u64, what: impl FnOnce(&mut Watcher) -> Result<()>) {
        let Some(watcher) = self.watchers.get_mut(&id) else { return };
        if let Err(error) = what(watcher) {
            locked(watcher.seen()).ended.get_or_insert(format!("{error:#}"));
            self.watchers.remove(&id);
        }
    }

    /// False when nobody will order anything any more.
    fn obey(&mut self, orders: &Receiver<Order>) -> bool {
        loop {
            match orders.try_recv() {
                Ok(Order::Sit(id, watcher)) => {
                    let wanted = EpollEvent::new(EpollFlags::EPOLLIN, id);
                    if let Err(error) = self.epoll.add(&watcher.socket, wanted) {
                        locked(watcher.seen()).ended = Some(format!("epoll: {error}"));
                        continue;
                    }
                    self.watchers.insert(id, watcher);
                }
                Ok(Order::Leave(id, goodbye)) => {
                    // Its socket leaves the epoll with its last descriptor.
                    if let Some(mut watcher) = self.watchers.remove(&id) {
                        inspect(&watcher);
                        if goodbye {
                            watcher.close();
                        }
                    }
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }
}

fn inspect(watcher: &Watcher) {
    if let Ok(dropped) = lab::socket::drops(&watcher.socket) {
        locked(watcher.seen()).dropped_here = dropped;
    }
}
