//! One branch: from Janus' port to the recipients.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gst::prelude::*;
use gst::{PadProbeReturn, PadProbeType};

use super::{Inlet, Outlets, PipelineError};
use crate::rtp::{self, Numbering};

/// The two branches of every session, by these indices everywhere.
pub const KINDS: [&str; 2] = ["audio", "video"];
/// Their RTP clocks.
const CLOCKS: [u32; 2] = [48_000, 90_000];

/// What went through a branch; all of it only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets that Janus forwarded.
    pub received: u64,
    /// Packets sent, each counted once however many recipients there are.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// Packets that were not the session's, or no RTP at all.
    pub strangers: u64,
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
    sink: gst::Element,
    counters: Arc<Counters>,
    numbering: Arc<Mutex<Numbering>>,
    clients: Mutex<BTreeSet<SocketAddr>>,
}

impl Branch {
    /// Puts its elements into a pipeline.
    pub fn add(
        pipeline: &gst::Pipeline,
        kind: usize,
        ssrc: u32,
        inlet: &Inlet,
        outlets: &Outlets,
    ) -> Result<Branch, PipelineError> {
        let name = KINDS[kind];
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", name)
            .field("clock-rate", CLOCKS[kind] as i32)
            .build();
        let source = gst::ElementFactory::make("udpsrc")
            .name(format!("{name}-in"))
            .property("socket", &inlet.socket)
            .property("close-socket", false)
            .property("caps", &caps)
            .build()?;
        let (v4, v6) = outlets.of(kind)?;
        let mut sink = gst::ElementFactory::make("multiudpsink")
            .name(format!("{name}-out"))
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
        let numbering = Arc::new(Mutex::new(Numbering::new(CLOCKS[kind])));
        let pad = source.static_pad("src").ok_or(PipelineError("udpsrc has no pad".to_owned()))?;
        let (counting, shifting) = (counters.clone(), numbering.clone());
        pad.add_probe(PadProbeType::BUFFER, move |_, info| {
            let Some(buffer) = info.buffer_mut() else { return PadProbeReturn::Ok };
            pass(buffer, ssrc, &counting, &shifting)
        });
        Ok(Branch { port: inlet.port, sink, counters, numbering, clients: Mutex::default() })
    }

    /// The next packet is another publication's first.
    pub fn begin(&self) {
        lock(&self.numbering).begin();
    }

    /// Sends to these from now on, and to nobody else. Those that stay are not touched.
    pub fn send_to(&self, wanted: &BTreeSet<SocketAddr>) {
        let mut clients = lock(&self.clients);
        for gone in clients.difference(wanted) {
            self.sink.emit_by_name::<()>("remove", &[&host(gone), &i32::from(gone.port())]);
        }
        for new in wanted.difference(&clients) {
            self.sink.emit_by_name::<()>("add", &[&host(new), &i32::from(new.port())]);
        }
        clients.clone_from(wanted);
        self.counters.clients.store(wanted.len(), Ordering::Relaxed);
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
        }
    }
}

/// What becomes of a packet.
fn pass(
    buffer: &mut gst::Buffer,
    ssrc: u32,
    counters: &Counters,
    numbering: &Mutex<Numbering>,
) -> PadProbeReturn {
    let plus = |counter: &AtomicU64, n: usize| counter.fetch_add(n as u64, Ordering::Relaxed);
    let Ok(mut map) = buffer.make_mut().map_writable() else { return PadProbeReturn::Drop };
    let Some(header) = rtp::read(&map).filter(|header| header.ssrc == ssrc) else {
        plus(&counters.strangers, 1);
        return PadProbeReturn::Drop;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (sequence, timestamp) = lock(numbering).shifted(header.sequence, header.timestamp, now);
    rtp::renumber(&mut map, sequence, timestamp);
    plus(&counters.received, 1);
    if counters.clients.load(Ordering::Relaxed) > 0 {
        plus(&counters.packets, 1);
        plus(&counters.bytes, map.len());
    }
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
