//! [`Sink`]: receives RTP on any number of UDP sockets in a namespace and judges every flow.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

use crate::judge::{Continuity, FlowReport, RtpJudge, SendTimes, Tally, Verdict};
use crate::latency::Latencies;
use crate::netns::Lab;
use crate::rtp::{self, Header, Probe};
use crate::socket::{self, RECEIVE_BATCH, Receiver};
use crate::{disturbed, monotonic_ns};

const RECEIVE_BUFFER: usize = 64 << 20;
/// How often the thread looks whether it shall stop, when nothing arrives.
const STOP_POLL_MS: u8 = 20;
/// Batches taken from one socket before the next has its turn.
const BATCHES_IN_A_ROW: usize = 16;

/// A running sink; dropping it stops it.
pub struct Sink {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    media: bool,
    sockets: Vec<(SocketAddr, UdpSocket)>,
    not_rtp: AtomicU64,
    /// By SSRC, for each socket.
    flows: Mutex<Vec<BTreeMap<u32, FlowState>>>,
}

impl Sink {
    /// Receives the probes of a [`crate::Source`].
    pub fn bind(lab: &Lab, ns: &str, addresses: Vec<SocketAddr>) -> Result<Self> {
        Self::start(lab, ns, addresses, false)
    }

    /// Receives any RTP and judges it by its sequence numbers.
    pub fn bind_media(lab: &Lab, ns: &str, addresses: Vec<SocketAddr>) -> Result<Self> {
        Self::start(lab, ns, addresses, true)
    }

    /// Every flow seen so far, by socket and SSRC.
    pub fn report(&self) -> Vec<FlowReport> {
        let flows = self.shared.flows();
        let sockets = self.shared.sockets.iter().zip(flows.iter());
        sockets
            .flat_map(|((address, socket), flows)| {
                let drops = socket::drops(socket).unwrap_or_default();
                flows.iter().map(move |(ssrc, flow)| flow.report(*address, *ssrc, drops))
            })
            .collect()
    }

    /// How long the probes of every flow took, by socket and SSRC.
    pub fn took(&self) -> Vec<Took> {
        let flows = self.shared.flows();
        let sockets = self.shared.sockets.iter().zip(flows.iter());
        let took = |(address, flow): (SocketAddr, (&u32, &FlowState))| Took {
            socket: address,
            ssrc: *flow.0,
            all: flow.1.took.clone(),
            overtaken: flow.1.overtaken.clone(),
        };
        sockets
            .flat_map(|((address, _), flows)| flows.iter().map(|flow| (*address, flow)))
            .map(took)
            .collect()
    }

    /// Packets that the kernel dropped at these sockets, flows unknown.
    pub fn receiver_drops(&self) -> u64 {
        self.shared.sockets.iter().map(|(_, socket)| socket::drops(socket).unwrap_or_default()).sum()
    }

    /// Datagrams that were not RTP.
    pub fn not_rtp(&self) -> u64 {
        self.shared.not_rtp.load(Relaxed)
    }

    /// Waits until the reports satisfy a condition; false when the time is up.
    pub fn wait_until(&self, timeout: Duration, mut done: impl FnMut(&[FlowReport]) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            if done(&self.report()) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until nothing has come for a time; false when the timeout is up first.
    pub fn wait_quiet(&self, quiet: Duration, timeout: Duration) -> bool {
        let (mut packets, mut since) = (0, Instant::now());
        self.wait_until(timeout, |reports| {
            let now = reports.iter().map(|report| report.packets).sum();
            if now != packets {
                (packets, since) = (now, Instant::now());
            }
            since.elapsed() >= quiet
        })
    }

    /// Takes what the sockets still hold, ends, and gives the last word.
    pub fn stop(mut self) -> Vec<FlowReport> {
        self.join();
        self.report()
    }

    fn start(lab: &Lab, ns: &str, addresses: Vec<SocketAddr>, media: bool) -> Result<Self> {
        let sockets =
            lab.in_namespace(ns, || addresses.into_iter().map(open).collect::<Result<Vec<_>>>())??;
        let flows = Mutex::new(sockets.iter().map(|_| BTreeMap::new()).collect());
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            media,
            sockets,
            not_rtp: AtomicU64::new(0),
            flows,
        });
        let receiving = Arc::clone(&shared);
        let worker = std::thread::Builder::new().name(format!("sink-{ns}")).spawn(move || receiving.run())?;
        Ok(Self { shared, worker: Some(worker) })
    }

    fn join(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(Err(panic)) = self.worker.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// How long the probes of a flow took to one socket; duplicates are in neither.
#[derive(Clone, Debug)]
pub struct Took {
    /// The address of the socket that received it.
    pub socket: SocketAddr,
    /// The flow's SSRC.
    pub ssrc: u32,
    /// All of them.
    pub all: Latencies,
    /// Those that came behind a higher number: late by themselves, or sent again.
    pub overtaken: Latencies,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.join();
        let drops = self.receiver_drops();
        if drops > 0 {
            disturbed(&format!("the sockets of a sink were full and lost {drops} packets"));
        }
    }
}

fn open(address: SocketAddr) -> Result<(SocketAddr, UdpSocket)> {
    let socket = socket::bound(address)?;
    setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).context("SO_RCVBUFFORCE")?;
    Ok((socket.local_addr()?, socket))
}

impl Shared {
    fn flows(&self) -> MutexGuard<'_, Vec<BTreeMap<u32, FlowState>>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut receiver = Receiver::new();
        loop {
            let stopping = self.stop.load(Relaxed);
            let mut waiting: Vec<PollFd> = self
                .sockets
                .iter()
                .map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
                .collect();
            let _ = poll(
                &mut waiting,
                if stopping { PollTimeout::ZERO } else { PollTimeout::from(STOP_POLL_MS) },
            );
            let mut idle = true;
            for (index, _) in waiting.iter().enumerate().filter(|(_, fd)| fd.any().unwrap_or(false)) {
                idle = false;
                for _ in 0..BATCHES_IN_A_ROW {
                    if self.receive(index, &mut receiver) < RECEIVE_BATCH {
                        break;
                    }
                }
            }
            if stopping && idle {
                return;
            }
        }
    }

    fn receive(&self, index: usize, receiver: &mut Receiver) -> usize {
        // An error here is a pending one of the socket (ICMP), and reading it has cleared it.
        let Ok(packets) = receiver.receive(&self.sockets[index].1) else { return 0 };
        let now = monotonic_ns();
        let mut flows = self.flows();
        let flows = &mut flows[index];
        packets
            .inspect(|(packet, source)| match rtp::parse(packet) {
                Some((header, payload)) => flows
                    .entry(header.ssrc.0)
                    .or_insert_with(|| FlowState::new(self.media, *source, now))
                    .take(header, payload, packet.len(), *source, now),
                None => {
                    self.not_rtp.fetch_add(1, Relaxed);
                }
            })
            .count()
    }
}

enum Counting {
    Probes(Tally),
    Media(RtpJudge),
}

struct FlowState {
    counting: Counting,
    source: SocketAddr,
    source_changes: u64,
    packets: u64,
    bytes: u64,
    corrupted: u64,
    renumbered: u64,
    first_arrival_ns: u64,
    last_arrival_ns: u64,
    longest_gap_ns: u64,
    sent: Option<SendTimes>,
    took: Latencies,
    overtaken: Latencies,
}

impl FlowState {
    fn new(media: bool, source: SocketAddr, now: u64) -> Self {
        Self {
            counting: if media {
                Counting::Media(RtpJudge::new())
            } else {
                Counting::Probes(Tally::default())
            },
            source,
            source_changes: 0,
            packets: 0,
            bytes: 0,
            corrupted: 0,
            renumbered: 0,
            first_arrival_ns: now,
            last_arrival_ns: now,
            longest_gap_ns: 0,
            sent: None,
            took: Latencies::default(),
            overtaken: Latencies::default(),
        }
    }

    fn take(&mut self, header: Header, payload: &[u8], length: usize, source: SocketAddr, now: u64) {
        self.packets += 1;
        self.bytes += length as u64;
        self.longest_gap_ns = self.longest_gap_ns.max(now - self.last_arrival_ns);
        self.last_arrival_ns = now;
        self.source_changes += u64::from(self.source != source);
        self.source = source;
        match &mut self.counting {
            Counting::Media(judge) => {
                judge.feed(header.ssrc.0, header.sequence, now);
            }
            Counting::Probes(tally) => {
                let Some(probe) = Probe::read(payload) else {
                    self.corrupted += 1;
                    return;
                };
                let verdict = tally.count(probe.counter);
                self.renumbered += u64::from(header.sequence != probe.counter as u16);
                let latency = now.saturating_sub(probe.sent_ns);
                if verdict != Verdict::Duplicate {
                    self.took.add(latency);
                }
                if verdict == Verdict::Reordered {
                    self.overtaken.add(latency);
                }
                let times = self.sent.get_or_insert(SendTimes {
                    first_ns: probe.sent_ns,
                    last_ns: probe.sent_ns,
                    min_latency_ns: latency,
                    max_latency_ns: latency,
                });
                times.first_ns = times.first_ns.min(probe.sent_ns);
                times.last_ns = times.last_ns.max(probe.sent_ns);
                times.min_latency_ns = times.min_latency_ns.min(latency);
                times.max_latency_ns = times.max_latency_ns.max(latency);
            }
        }
    }

    fn report(&self, socket: SocketAddr, ssrc: u32, receiver_drops: u64) -> FlowReport {
        let Continuity { unique: _, lost, duplicated, reordered, first, last } = match &self.counting {
            Counting::Probes(tally) => tally.continuity(),
            Counting::Media(judge) => judge.continuity(ssrc).unwrap_or_default(),
        };
        FlowReport {
            socket,
            ssrc,
            source: self.source,
            source_changes: self.source_changes,
            packets: self.packets,
            bytes: self.bytes,
            lost,
            duplicated,
            reordered,
            corrupted: self.corrupted,
            renumbered: self.renumbered,
            first_counter: first,
            last_counter: last,
            first_arrival_ns: self.first_arrival_ns,
            last_arrival_ns: self.last_arrival_ns,
            longest_gap_ns: self.longest_gap_ns,
            sent: self.sent,
            receiver_drops,
        }
    }
}
