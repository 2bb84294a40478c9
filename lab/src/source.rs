//! [`Source`]: sends RTP probes from a namespace at a steady rate, in bursts too small for a veth ring.
//!
//! A source never catches up in bursts: after a hiccup it sends at most a third faster than asked, and
//! forgets what lies further back, so the true rate is in [`Sent`]. A packet that the first hop refuses
//! (full ring, no route) is sent again, so what is counted as sent did leave. One that [answers](SourceConfig::answering) sends
//! again what it is asked for, until it is stopped or dropped.

mod answers;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::node::media::{Codec, Ssrc, VideoCodec};
use anyhow::{Context, Result, bail, ensure};
use nix::sys::socket::{SockaddrStorage, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

use crate::netns::Lab;
use crate::pace::{MAX_BURST, Pace};
use crate::rtp::{Header, MIN_PROBE_LENGTH, Probe};
use crate::{disturbed, monotonic_ns, socket};
use answers::Answers;

/// Waits shorter than this are spun, as a sleep takes longer.
const SPIN_NS: u64 = 20_000;
/// A refused burst is tried again after this pause, so many times, before it is given up.
const RETRY_PAUSE: Duration = Duration::from_micros(20);
const RETRIES: u32 = 50;
/// Who sends so late did not get a CPU, and those that receive may not have got one either.
const MUCH_TOO_LATE: Duration = Duration::from_millis(5);

/// One RTP stream to one destination.
#[derive(Clone, Debug)]
pub struct Flow {
    /// SSRC; sinks tell flows apart by it.
    pub ssrc: u32,
    /// Where it is sent.
    pub destination: SocketAddr,
    /// Local port, 0 for any. Flows with the same port and family share a socket.
    pub source_port: u16,
    /// RTP payload type.
    pub payload_type: u8,
    /// What the RTP time stamp grows by with each packet.
    pub timestamp_step: u32,
}

impl Flow {
    /// Opus-like: 20 ms at 48 kHz.
    pub fn audio(ssrc: u32, destination: SocketAddr) -> Self {
        Self {
            ssrc,
            destination,
            source_port: 0,
            payload_type: Codec::Opus.payload_type(),
            timestamp_step: 960,
        }
    }

    /// Video-like: 1/30 s at 90 kHz.
    pub fn video(ssrc: u32, destination: SocketAddr) -> Self {
        Self {
            ssrc,
            destination,
            source_port: 0,
            payload_type: VideoCodec::Vp8.payload_type(),
            timestamp_step: 3000,
        }
    }
}

/// When a source ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// After so many packets of all flows together.
    Packets(u64),
    /// After this time.
    Duration(Duration),
    /// Only by [`Source::stop`].
    UntilStopped,
}

/// What to send.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// The flows, served in turn.
    pub flows: Vec<Flow>,
    /// Rate of all flows together.
    pub packets_per_second: u64,
    /// Bytes of RTP, header included.
    pub packet_length: usize,
    /// With it veth leaves a *partial* UDP checksum; without, IPv4 carries 0. IPv6 always has one.
    pub udp_checksum: bool,
    /// When to end.
    pub limit: Limit,
    /// Whether NACKs are answered.
    pub answers: bool,
}

impl SourceConfig {
    /// Packets of 200 bytes with checksum, until stopped.
    pub fn new(flows: Vec<Flow>, packets_per_second: u64) -> Self {
        Self {
            flows,
            packets_per_second,
            packet_length: 200,
            udp_checksum: true,
            limit: Limit::UntilStopped,
            answers: false,
        }
    }

    /// The same with another end.
    pub fn limit(self, limit: Limit) -> Self {
        Self { limit, ..self }
    }

    /// The same, and it sends again what it is asked for. On a flow's source port and, if one is given, on the next.
    pub fn answering(self) -> Self {
        Self { answers: true, ..self }
    }
}

/// What a source has sent so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets by SSRC; the counters sent are `0..packets`.
    pub packets: BTreeMap<u32, u64>,
    /// From the first packet until the latest.
    pub elapsed: Duration,
    /// Sends that failed and were tried again: no route, full first ring, or an ICMP error for one before.
    pub refused: u64,
    /// Longest time that a burst was late.
    pub worst_lag: Duration,
    /// Packets that NACKs asked for.
    pub asked: u64,
    /// Of these, sent again.
    pub answered: u64,
}

impl Sent {
    /// Packets of all flows.
    pub fn total(&self) -> u64 {
        self.packets.values().sum()
    }

    /// The rate achieved, in packets per second.
    pub fn rate(&self) -> f64 {
        self.total() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// A running source; dropping it stops it.
pub struct Source {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
    answers: Option<Answers>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// (SSRC, packets sent)
    packets: Vec<(u32, AtomicU64)>,
    elapsed_ns: AtomicU64,
    refused: AtomicU64,
    worst_lag_ns: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Source {
    /// Starts sending from a namespace.
    pub fn start(lab: &Lab, ns: &str, config: SourceConfig) -> Result<Self> {
        ensure!(!config.flows.is_empty(), "a source needs a flow");
        ensure!(config.packets_per_second > 0, "a source needs a rate");
        ensure!(config.packet_length >= MIN_PROBE_LENGTH, "probes have at least {MIN_PROBE_LENGTH} bytes");
        let mut ssrcs: Vec<u32> = config.flows.iter().map(|flow| flow.ssrc).collect();
        ssrcs.sort_unstable();
        ensure!(ssrcs.windows(2).all(|pair| pair[0] != pair[1]), "each flow needs an SSRC of its own");

        let (sockets, routes) = lab.in_namespace(ns, || open_sockets(&config))??;
        let ears = || if config.answers { open_ears(&config).map(Some) } else { Ok(None) };
        let ears = lab.in_namespace(ns, ears)??;
        let answers = ears.map(|ears| Answers::start(&sockets, ears)).transpose()?;
        let packets = config.flows.iter().map(|flow| (flow.ssrc, AtomicU64::new(0))).collect();
        let shared = Arc::new(Shared { packets, ..Shared::default() });
        let sender = Sender {
            pace: Pace::new(config.packets_per_second),
            buffers: vec![vec![0; config.packet_length]; MAX_BURST as usize],
            shared: Arc::clone(&shared),
            answers: answers.as_ref().map(|answers| Arc::clone(answers.shared())),
            config,
            sockets,
            routes,
        };
        let worker = std::thread::Builder::new().name(format!("source-{ns}")).spawn(move || sender.run())?;
        Ok(Self { shared, worker: Some(worker), answers })
    }

    /// What has been sent so far.
    pub fn sent(&self) -> Sent {
        let shared = &self.shared;
        let answers = self.answers.as_ref().map(Answers::shared);
        Sent {
            packets: shared.packets.iter().map(|(ssrc, packets)| (*ssrc, packets.load(Relaxed))).collect(),
            elapsed: Duration::from_nanos(shared.elapsed_ns.load(Relaxed)),
            refused: shared.refused.load(Relaxed),
            worst_lag: Duration::from_nanos(shared.worst_lag_ns.load(Relaxed)),
            asked: answers.map_or(0, |answers| answers.asked.load(Relaxed)),
            answered: answers.map_or(0, |answers| answers.answered.load(Relaxed)),
        }
    }

    /// It has sent all that it was to send.
    pub fn has_ended(&self) -> bool {
        self.worker.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Why a send was refused last.
    pub fn last_error(&self) -> Option<String> {
        self.shared.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a bounded source has ended by itself.
    pub fn wait(mut self, timeout: Duration) -> Result<Sent> {
        let deadline = Instant::now() + timeout;
        while !self.has_ended() {
            if Instant::now() >= deadline {
                bail!(
                    "still sending after {timeout:?}: {:?}, last error {:?}",
                    self.sent(),
                    self.last_error()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.join();
        Ok(self.sent())
    }

    /// Stops it.
    pub fn stop(mut self) -> Sent {
        self.join_stopped();
        self.sent()
    }

    fn join_stopped(&mut self) {
        self.shared.stop.store(true, Relaxed);
        self.join();
    }

    fn join(&mut self) {
        if let Some(Err(panic)) = self.worker.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.join_stopped();
        let Sent { refused, worst_lag, .. } = self.sent();
        if worst_lag > MUCH_TOO_LATE {
            disturbed(&format!("a source was up to {} ms late", worst_lag.as_millis()));
        }
        if refused > 0 {
            disturbed(&format!("the first hop of a source refused {refused} sends: {:?}", self.last_error()));
        }
    }
}

/// Which socket a flow uses, and its destination as the kernel wants it.
type Route = (usize, SockaddrStorage);

fn open_sockets(config: &SourceConfig) -> Result<(Vec<UdpSocket>, Vec<Route>)> {
    let (mut sockets, mut routes, mut known) = (Vec::new(), Vec::new(), BTreeMap::new());
    for flow in &config.flows {
        let v6 = flow.destination.is_ipv6();
        let index = *known.entry((v6, flow.source_port)).or_insert(sockets.len());
        if index == sockets.len() {
            let any = if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
            let socket = socket::bound(SocketAddr::new(any, flow.source_port))?;
            // Without these the kernel hides that the first veth ring was full: udp_send_skb swallows ENOBUFS.
            if v6 {
                setsockopt(&socket, sockopt::Ipv6RecvErr, &true).context("IPV6_RECVERR")?;
            } else {
                setsockopt(&socket, sockopt::Ipv4RecvErr, &true).context("IP_RECVERR")?;
            }
            if !config.udp_checksum {
                socket::disable_checksum(&socket).context("SO_NO_CHECK")?;
            }
            sockets.push(socket);
        }
        routes.push((index, SockaddrStorage::from(flow.destination)));
    }
    Ok((sockets, routes))
}

/// RTCP's ports, of the flows that have a port of their own (RFC 3550 section 11).
fn open_ears(config: &SourceConfig) -> Result<Vec<UdpSocket>> {
    let flows = config.flows.iter().filter(|flow| flow.source_port != 0);
    let ports: BTreeSet<(bool, u16)> =
        flows.map(|flow| (flow.destination.is_ipv6(), flow.source_port + 1)).collect();
    let any = |v6| if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    ports.into_iter().map(|(v6, port)| socket::bound(SocketAddr::new(any(v6), port))).collect()
}

struct Sender {
    answers: Option<Arc<answers::Shared>>,
    config: SourceConfig,
    sockets: Vec<UdpSocket>,
    routes: Vec<Route>,
    buffers: Vec<Vec<u8>>,
    pace: Pace,
    shared: Arc<Shared>,
}

impl Sender {
    fn run(mut self) {
        // The default slack of 50 µs is half of a burst's interval.
        let _ = nix::sys::prctl::set_timerslack(1);
        let start = monotonic_ns();
        let (packets, end) = match self.config.limit {
            Limit::Packets(packets) => (packets, u64::MAX),
            Limit::Duration(time) => (u64::MAX, start.saturating_add(time.as_nanos() as u64)),
            Limit::UntilStopped => (u64::MAX, u64::MAX),
        };
        self.pace.begin(start);
        let mut total = 0;
        while total < packets && !self.shared.stop.load(Relaxed) {
            let due = self.pace.due();
            if due >= end {
                break;
            }
            sleep_until(due);
            let now = monotonic_ns();
            self.shared.worst_lag_ns.fetch_max(now - due, Relaxed);
            let sent = self.send_burst(total, self.pace.burst.min(packets - total), now);
            total += sent;
            self.pace.sent(sent, now);
            self.shared.elapsed_ns.store(monotonic_ns() - start, Relaxed);
        }
    }

    /// Sends packets `total..total + burst` of the source; gives how many went before it gave up.
    fn send_burst(&mut self, total: u64, burst: u64, now: u64) -> u64 {
        let flows = self.config.flows.len() as u64;
        for (position, buffer) in (total..total + burst).zip(&mut self.buffers) {
            let flow = &self.config.flows[(position % flows) as usize];
            let counter = position / flows;
            let header = Header {
                payload_type: flow.payload_type,
                sequence: counter as u16,
                timestamp: (counter as u32).wrapping_mul(flow.timestamp_step),
                ssrc: Ssrc(flow.ssrc),
            };
            Probe { counter, sent_ns: now }.write(header, buffer);
            // Before it goes: somebody may ask for it at once.
            if let Some(answers) = &self.answers {
                let socket = self.routes[(position % flows) as usize].0;
                answers.keep(buffer, socket, flow.destination);
            }
        }
        let mut sent = 0;
        let mut retries = 0;
        while sent < burst && retries < RETRIES {
            match self.send_run(total, sent as usize, burst as usize) {
                Ok(went) => {
                    for position in total + sent..total + sent + went as u64 {
                        self.shared.packets[(position % flows) as usize].1.fetch_add(1, Relaxed);
                    }
                    sent += went as u64;
                }
                Err(error) => {
                    retries += 1;
                    self.shared.refused.fetch_add(1, Relaxed);
                    *self.shared.last_error.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(error.to_string());
                    std::thread::sleep(RETRY_PAUSE);
                }
            }
        }
        sent
    }

    /// Sends the packets from `from` on that share a socket.
    fn send_run(&self, total: u64, from: usize, burst: usize) -> std::io::Result<usize> {
        let route = |index: usize| &self.routes[((total + index as u64) % self.routes.len() as u64) as usize];
        let socket = route(from).0;
        let run: Vec<(&[u8], &SockaddrStorage)> = (from..burst)
            .take_while(|index| route(*index).0 == socket)
            .map(|index| (self.buffers[index].as_slice(), &route(index).1))
            .collect();
        socket::send(&self.sockets[socket], &run)
    }
}

fn sleep_until(due: u64) {
    loop {
        let now = monotonic_ns();
        if now >= due {
            return;
        }
        if due - now > SPIN_NS {
            let due = TimeSpec::from(Duration::from_nanos(due));
            // An early return (a signal) only means another turn.
            let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &due);
        } else {
            std::hint::spin_loop();
        }
    }
}
