//! [`Stamps`]: when the kernel received the first and the latest packet, however late this process gets to read them.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::Lab;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

/// How often a thread looks whether it shall stop, when nothing arrives.
const STOP_POLL: Duration = Duration::from_millis(20);

/// How often somebody who waits for a packet looks.
const POLL: Duration = Duration::from_micros(200);

/// `CLOCK_REALTIME` in ns, which the kernel's receive stamps are in.
pub fn realtime_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("CLOCK_REALTIME exists on every Linux");
    nanoseconds(now)
}

/// Receives on some addresses and keeps two stamps.
pub struct Stamps {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    /// `u64::MAX` for none.
    first: AtomicU64,
    last: AtomicU64,
}

impl Stamps {
    /// Binds and begins.
    pub fn bind(lab: &Lab, ns: &str, addresses: &[SocketAddr]) -> Result<Self> {
        let open = || addresses.iter().map(|address| open(*address)).collect::<Result<Vec<_>>>();
        let sockets = lab.in_namespace(ns, open)??;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            first: AtomicU64::new(u64::MAX),
            last: AtomicU64::new(0),
        });
        let workers = sockets
            .into_iter()
            .map(|socket| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.receive(&socket))
            })
            .collect();
        Ok(Self { shared, workers })
    }

    /// Forgets.
    pub fn reset(&self) {
        self.shared.last.store(0, Relaxed);
        self.shared.first.store(u64::MAX, Relaxed);
    }

    /// When the first packet came.
    pub fn first(&self) -> Option<u64> {
        Some(self.shared.first.load(Relaxed)).filter(|stamp| *stamp != u64::MAX)
    }

    /// Waits for the first packet.
    pub fn wait_first(&self, timeout: Duration) -> Result<u64> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(first) = self.first() {
                return Ok(first);
            }
            ensure!(Instant::now() < deadline, "no packet at the new child within {timeout:?}");
            std::thread::sleep(POLL);
        }
    }

    /// When the latest packet came; 0 for none.
    pub fn last(&self) -> u64 {
        self.shared.last.load(Relaxed)
    }
}

impl Drop for Stamps {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        for worker in self.workers.drain(..) {
            // A panic there has been printed, and this may be one itself.
            let _ = worker.join();
        }
    }
}

fn open(address: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(address).with_context(|| format!("binding {address}"))?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).context("SO_TIMESTAMPNS")?;
    socket.set_read_timeout(Some(STOP_POLL))?;
    Ok(socket)
}

impl Shared {
    fn receive(&self, socket: &UdpSocket) {
        let (mut buffer, mut control) = ([0; 2048], nix::cmsg_space!(TimeSpec));
        while !self.stop.load(Relaxed) {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let received =
                recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
            // Nothing came in time, or an ICMP error, which reading has cleared.
            let Ok(message) = received else { continue };
            let Ok(mut messages) = message.cmsgs() else { continue };
            let stamp = messages.find_map(|message| match message {
                ControlMessageOwned::ScmTimestampns(stamp) => Some(nanoseconds(stamp)),
                _ => None,
            });
            if let Some(stamp) = stamp {
                self.first.fetch_min(stamp, Relaxed);
                self.last.fetch_max(stamp, Relaxed);
            }
        }
    }
}

fn nanoseconds(time: TimeSpec) -> u64 {
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}
