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

#[cfg(test)]
mod tests {
    use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
    use std::io::IoSlice;
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::watcher::Seen;

    /// Nanoseconds that the thread of that name has run.
    fn ran(name: &str) -> u64 {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        let is = |task: &std::path::PathBuf| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
        };
        let task = tasks.into_iter().find(is).unwrap();
        let stat = std::fs::read_to_string(task.join("schedstat")).unwrap();
        stat.split(' ').next().unwrap().parse().unwrap()
    }

    /// `cargo test -p media-client --release -- a_thousand --ignored --nocapture`: what it costs to count 187 packets a second for
    /// each of 1,000 viewers, 1.4 Mbit/s; joined by the kernel as a sender with UDP_SEGMENT has them, and one by one.
    #[test]
    #[ignore = "a measurement"]
    fn a_thousand_are_counted() {
        const VIEWERS: u64 = 1000;
        const FRAMES: u32 = 150;
        for joined in [true, false] {
            let watchers = Watchers::start(1, Duration::from_millis(1)).unwrap();
            let mut all = Vec::new();
            for id in 0..VIEWERS {
                let watcher = Watcher::light();
                all.push((watcher.socket.local_addr().unwrap(), watcher.seen().clone()));
                watchers.seats().sit(id, Box::new(watcher));
            }
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            let send = |packets: &[u8], to: SocketAddr, length: u16| {
                let SocketAddr::V4(to) = to else { unreachable!() };
                let parts = [IoSlice::new(packets)];
                let size = [ControlMessage::UdpGsoSegments(&length)];
                let to = SockaddrIn::from(to);
                sendmsg(sender.as_raw_fd(), &parts, &size, MsgFlags::empty(), Some(&to)).unwrap();
            };
            let (before, began) = (ran("watchers-0"), Instant::now());
            let (mut video, mut audio) = (0_u16, 0_u16);
            let mut total = 0_u64;
            for frame in 0..FRAMES {
                thread::sleep(
                    Duration::from_secs_f64(f64::from(frame) / 30.0).saturating_sub(began.elapsed()),
                );
                let count = if frame % 5 < 3 { 5_u16 } else { 4 };
                let sounds = if frame % 3 == 0 { 1_u16 } else { 2 };
                let header = |kind: u8, sequence: u16, ssrc: u8, length: usize| {
                    let mut packet = vec![0x80, kind];
                    packet.extend(sequence.to_be_bytes());
                    packet.extend([0, 0, 0, 0, 0, 0, 0, ssrc]);
                    packet.resize(length, 7);
                    packet
                };
                let picture: Vec<u8> =
                    (0..count).flat_map(|part| header(96, video.wrapping_add(part), 1, 1100)).collect();
                for (to, _) in &all {
                    if joined {
                        send(&picture, *to, 1100);
                    } else {
                        picture.chunks(1100).for_each(|packet| send(packet, *to, 1100));
                    }
                    for sound in 0..sounds {
                        send(&header(111, audio.wrapping_add(sound), 2, 160), *to, 160);
                    }
                }
                video = video.wrapping_add(count);
                audio = audio.wrapping_add(sounds);
                total += u64::from(count + sounds);
            }
            let took = began.elapsed();
            // What is on its way is counted within some naps.
            thread::sleep(Duration::from_millis(200));
            let used = Duration::from_nanos(ran("watchers-0") - before);
            let packets = |seen: &Seen| seen.video.packets + seen.audio.packets;
            let counted: u64 = all.iter().map(|(_, seen)| packets(&locked(seen))).sum();
            assert_eq!(counted, total * VIEWERS);
            println!(
                "joined {joined}: {counted} packets in {took:.1?}, {:.0} a viewer and second: {:.0} ns a packet, {:.0} % of a core",
                total as f64 / took.as_secs_f64(),
                used.as_nanos() as f64 / counted as f64,
                used.as_secs_f64() / took.as_secs_f64() * 100.0
            );
            drop(all);
            watchers.end().unwrap();
        }
    }
}
