//! One branch: from Janus' port to the recipients.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gst::prelude::*;
use gst::{PadProbeReturn, PadProbeType};
use node::media::{Kind, Ssrc};
use node::udp;

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

#[derive(Default)]
struct Counters {
    received: AtomicU64,
    packets: AtomicU64,
    bytes: AtomicU64,
    strangers: AtomicU64,
    clients: AtomicUsize,
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
    passage: Arc<Mutex<Passage>>,
    clients: Mutex<BTreeSet<SocketAddr>>,
}

impl Branch {
    /// Puts its elements into a pipeline.
    pub fn add(
        pipeline: &gst::Pipeline,
        kind: Kind,
        ssrc: Ssrc,
        inlet: Inlet,
        outlets: &Outlets,
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
        let (counting, entry) = (counters.clone(), sink.static_pad("sink"));
        let entry = entry.ok_or(PipelineError("multiudpsink has no pad".to_owned()))?;
        entry.add_probe(PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer()
                && counting.clients.load(Ordering::Relaxed) > 0
            {
                counting.packets.fetch_add(1, Ordering::Relaxed);
                counting.bytes.fetch_add(buffer.size() as u64, Ordering::Relaxed);
            }
            PadProbeReturn::Ok
        });
        Ok(Branch {
            port: inlet.port,
            inlet: inlet.socket,
            pad,
            sink,
            counters,
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
            let _ = done.send(());
            PadProbeReturn::Remove
        });
        // An error: the pad is gone, and everything with it.
        let _ = is_done.recv();
        clients.clone_from(wanted);
    }

    /// Whom it sends to.
    pub fn clients(&self) -> BTreeSet<SocketAddr> {
        lock(&self.clients).clone()
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
