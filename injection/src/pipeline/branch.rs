//! One branch: from Janus' port to the recipients.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gst::prelude::*;
use gst::{PadProbeReturn, PadProbeType};
use node::media::{Kind, Ssrc};
use node::metrics::add;
use node::udp;

use crate::answers::{Answers, Sending};

use super::passage::{Judgement, Passage};
use super::{Inlet, Outlets, PipelineError};

/// What went through a branch; all of it only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets that Janus forwarded.
    pub received: u64,
    /// Packets sent, each counted once however many recipients there are.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// Packets that Janus did not send, or no RTP at all.
    pub strangers: u64,
    /// Packets that the kernel dropped because they were not read in time.
    pub overflow: u64,
}

impl Count {
    /// How many numbers that is.
    pub const NUMBERS: usize = 5;

    /// As numbers that are added up.
    pub fn numbers(self) -> [u64; Count::NUMBERS] {
        let Count { received, packets, bytes, strangers, overflow } = self;
        [received, packets, bytes, strangers, overflow]
    }

    /// What came after that was counted.
    pub fn since(self, before: Count) -> Count {
        let (now, before) = (self.numbers(), before.numbers());
        std::array::from_fn(|at| now[at].saturating_sub(before[at])).into()
    }
}

impl From<[u64; Count::NUMBERS]> for Count {
    fn from(numbers: [u64; Count::NUMBERS]) -> Count {
        let [received, packets, bytes, strangers, overflow] = numbers;
        Count { received, packets, bytes, strangers, overflow }
    }
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, more: Count) {
        let mut numbers = self.numbers();
        node::metrics::add(&mut numbers, more.numbers());
        *self = numbers.into();
    }
}

/// What was sent to each client, and has not been asked for yet: packets, bytes.
#[derive(Default)]
struct Ledger {
    /// What the branch had sent in all when the client came, or was last asked about.
    since: BTreeMap<SocketAddr, [u64; 2]>,
    /// Of clients that have gone.
    gone: BTreeMap<SocketAddr, [u64; 2]>,
}

impl Ledger {
    /// Clients change, when the branch has sent so much.
    fn change(&mut self, gone: &[SocketAddr], new: &[SocketAddr], sent: [u64; 2]) {
        for client in gone {
            let Some(since) = self.since.remove(client) else { continue };
            add(self.gone.entry(*client).or_default(), less(sent, since));
        }
        self.since.extend(new.iter().map(|client| (*client, sent)));
    }

    /// What is new since the last time.
    fn take(&mut self, sent: [u64; 2]) -> Vec<(SocketAddr, [u64; 2])> {
        let mut all: Vec<_> = std::mem::take(&mut self.gone).into_iter().collect();
        all.extend(
            self.since
                .iter_mut()
                .map(|(client, since)| (*client, less(sent, std::mem::replace(since, sent)))),
        );
        all
    }
}

fn less(sent: [u64; 2], since: [u64; 2]) -> [u64; 2] {
    [sent[0].saturating_sub(since[0]), sent[1].saturating_sub(since[1])]
}

#[derive(Default)]
struct Counters {
    received: AtomicU64,
    packets: AtomicU64,
    bytes: Arc<AtomicU64>,
    strangers: AtomicU64,
    clients: AtomicUsize,
    ledger: Mutex<Ledger>,
}

impl Counters {
    /// Packets and bytes that were sent.
    fn sent(&self) -> [u64; 2] {
        [&self.packets, &*self.bytes].map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// A branch, as part of a pipeline.
pub(super) struct Branch {
    pub port: u16,
    /// What Janus sends to.
    inlet: UdpSocket,
    /// Where packets come out of the source.
    pad: gst::Pad,
    sink: gst::Element,
    counters: Arc<Counters>,
    sending: Arc<Sending>,
    passage: Arc<Mutex<Passage>>,
    clients: Mutex<BTreeSet<SocketAddr>>,
}

impl Branch {
    /// Puts its elements into a pipeline. `answers`: keeps what it sends.
    pub fn add(
        pipeline: &gst::Pipeline,
        kind: Kind,
        ssrc: Ssrc,
        inlet: Inlet,
        outlets: &Outlets,
        answers: &Arc<Answers>,
    ) -> Result<Branch, PipelineError> {
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", kind.name())
            .field("clock-rate", kind.clock_rate() as i32)
            .build();
        let source = gst::ElementFactory::make("udpsrc")
            .name(format!("{kind}-in"))
            .property("socket", &inlet.for_gstreamer()?)
            .property("close-socket", false)
            .property("caps", &caps)
            .build()?;
        let (v4, v6) = outlets.of(kind)?;
        let mut sink = gst::ElementFactory::make("multiudpsink")
            .name(format!("{kind}-out"))
            .property("socket", &v4)
            .property("close-socket", false)
            // Packets go on as they come: there is no clock to wait for, nor a first one to show.
            .property("sync", false)
            .property("async", false)
            .property("send-duplicates", false);
        if let Some(v6) = &v6 {
            sink = sink.property("socket-v6", v6);
        }
        let sink = sink.build()?;
        pipeline.add_many([&source, &sink])?;
        source.link(&sink)?;

        let counters = Arc::new(Counters::default());
        let passage = Arc::new(Mutex::new(Passage::new(ssrc, kind.clock_rate())));
        let pad = source.static_pad("src").ok_or(PipelineError("udpsrc has no pad".to_owned()))?;
        let (counting, judging) = (counters.clone(), passage.clone());
        pad.add_probe(PadProbeType::BUFFER, move |_, info| {
            let Some(buffer) = info.buffer_mut() else { return PadProbeReturn::Ok };
            pass(buffer, &counting, &judging)
        });
        // Not at the pad above: there, clients may still change between the count and the sending.
        let sending = Arc::new(answers.begin(kind, ssrc, counters.bytes.clone()));
        let (counting, keeping, entry) = (counters.clone(), sending.clone(), sink.static_pad("sink"));
        let entry = entry.ok_or(PipelineError("multiudpsink has no pad".to_owned()))?;
        entry.add_probe(PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer()
                && counting.clients.load(Ordering::Relaxed) > 0
            {
                counting.packets.fetch_add(1, Ordering::Relaxed);
                counting.bytes.fetch_add(buffer.size() as u64, Ordering::Relaxed);
                // One block of memory, as udpsrc makes it.
                if let Ok(packet) = buffer.map_readable() {
                    keeping.sent(&packet);
                }
            }
            PadProbeReturn::Ok
        });
        Ok(Branch {
            port: inlet.port,
            inlet: inlet.socket,
            pad,
            sink,
            counters,
            sending,
            passage,
            clients: Mutex::default(),
        })
    }

    /// Another publication begins; Janus sends it with this SSRC.
    pub fn begin(&self, comes: Ssrc) {
        lock(&self.passage).begin(comes);
    }

    /// Sends to these from now on, and to nobody else. Those that stay are not touched. It happens between two packets, so that
    /// each is sent to all of them, or to all of those before, and counted accordingly.
    pub fn send_to(&self, wanted: &BTreeSet<SocketAddr>) {
        let mut clients = lock(&self.clients);
        if *clients == *wanted {
            return;
        }
        let gone: Vec<SocketAddr> = clients.difference(wanted).copied().collect();
        let new: Vec<SocketAddr> = wanted.difference(&clients).copied().collect();
        let (sink, counters, count) = (self.sink.clone(), self.counters.clone(), wanted.len());
        let (done, is_done) = mpsc::channel();
        self.pad.add_probe(PadProbeType::IDLE, move |_, _| {
            for (signal, clients) in [("remove", &gone), ("add", &new)] {
                for client in clients {
                    sink.emit_by_name::<()>(signal, &[&host(client), &i32::from(client.port())]);
                }
            }
            counters.clients.store(count, Ordering::Relaxed);
            lock(&counters.ledger).change(&gone, &new, counters.sent());
            let _ = done.send(());
            PadProbeReturn::Remove
        });
        // An error: the pad is gone, and everything with it.
        let _ = is_done.recv();
        self.sending.to(wanted);
        clients.clone_from(wanted);
    }

    /// Whom it sends to.
    pub fn clients(&self) -> BTreeSet<SocketAddr> {
        lock(&self.clients).clone()
    }

    /// What each client was sent since this was asked last, those among them that have gone meanwhile.
    pub fn take_sent(&self) -> Vec<(SocketAddr, [u64; 2])> {
        lock(&self.counters.ledger).take(self.counters.sent())
    }

    /// Bytes of the buffer of what Janus sends to.
    pub fn receive_buffer(&self) -> Option<usize> {
        udp::receive_buffer(&self.inlet)
    }

    /// What went through.
    pub fn count(&self) -> Count {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        Count {
            received: of(&counters.received),
            packets: of(&counters.packets),
            bytes: of(&counters.bytes),
            strangers: of(&counters.strangers),
            overflow: udp::drops(&self.inlet).map_or(0, u64::from),
        }
    }
}

/// What becomes of a packet.
fn pass(buffer: &mut gst::Buffer, counters: &Counters, passage: &Mutex<Passage>) -> PadProbeReturn {
    let plus = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    let Ok(mut map) = buffer.make_mut().map_writable() else { return PadProbeReturn::Drop };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let judgement = lock(passage).pass(&mut map, now);
    match judgement {
        Judgement::Goes => plus(&counters.received),
        Judgement::Late => return PadProbeReturn::Drop,
        Judgement::Stranger => {
            plus(&counters.strangers);
            return PadProbeReturn::Drop;
        }
    };
    PadProbeReturn::Ok
}

/// An address as multiudpsink takes it: IPv6 without brackets.
fn host(address: &SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.to_string(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_was_sent_what_went_out_while_it_was_one() {
        let [a, b] = [1, 2].map(|host| SocketAddr::from(([10, 0, 0, host], 5004)));
        let mut ledger = Ledger::default();
        ledger.change(&[], &[a], [10, 1000]);
        assert_eq!(ledger.take([12, 1200]), [(a, [2, 200])]);
        ledger.change(&[a], &[b], [15, 1500]);
        ledger.change(&[], &[a], [16, 1600]);
        let mut taken = ledger.take([20, 2000]);
        taken.sort();
        assert_eq!(taken, [(a, [3, 300]), (a, [4, 400]), (b, [5, 500])]);
        assert_eq!(ledger.take([20, 2000]), [(a, [0, 0]), (b, [0, 0])]);
    }
}
