//! One input: a pipeline that runs, and the sinks that come and go.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use gst::prelude::*;
use node::media::{Codec, Kind, Ssrc};
use node::muffled::Muffled;
use node::udp;

use super::probe::Gate;
use super::{Counters, Input, PipelineError, Route, Routes, Senders};
use crate::repair::Notices;
use crate::server::Outlet;

/// Longest wait for the moment at which nothing flows.
const IDLE: Duration = Duration::from_secs(2);
/// Pause before a lane that failed is started again, if that fails as well.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// One input and what becomes of it.
pub struct Lane {
    kind: Kind,
    input: Input,
    /// What media comes in by, whatever becomes of the pipeline.
    socket: UdpSocket,
    senders: Arc<Senders>,
    notices: Option<Notices>,
    routes: Arc<Routes>,
    counters: Arc<Counters>,
    running: Mutex<Option<Running>>,
    problem: Mutex<Option<String>>,
    restarts: AtomicU64,
}

/// A pipeline.
struct Running {
    pipeline: gst::Pipeline,
    demux: gst::Element,
    /// Where packets leave udpsrc.
    entry: gst::Pad,
    sinks: Arc<Mutex<HashMap<Ssrc, gst::Element>>>,
}

impl Lane {
    /// Starts, and stays running: errors of GStreamer's make it start again. `senders`: whose packets are taken; `notices`: who is
    /// told of what is missing.
    pub fn start(
        kind: Kind,
        input: Input,
        senders: Arc<Senders>,
        notices: Option<Notices>,
    ) -> Result<Arc<Lane>, PipelineError> {
        gst::init()?;
        let socket = input.bind(kind.name())?;
        if let Some(why) = udp::shortfall(&socket) {
            tracing::warn!("{kind}: {why}");
        }
        let lane = Arc::new(Lane {
            kind,
            input,
            socket,
            senders,
            notices,
            routes: Arc::default(),
            counters: Arc::default(),
            running: Mutex::new(None),
            problem: Mutex::new(None),
            restarts: AtomicU64::new(0),
        });
        let running = lane.build()?;
        lane.watch(&running);
        *locked(&lane.running) = Some(running);
        Ok(lane)
    }

    /// Lets a stream through to a mountpoint. One that has a route already is sent elsewhere.
    pub fn add(&self, ssrc: Ssrc, outlet: Outlet, codec: Codec) -> Result<(), PipelineError> {
        let before = self.routes.get(ssrc);
        if let Some(route) = &before {
            if (&route.outlet, route.codec) == (&outlet, codec) {
                return Ok(());
            }
            self.remove(ssrc);
        }
        let running = locked(&self.running);
        if let Some(running) = &*running {
            running.add_sink(ssrc, &outlet)?;
        }
        // The sink is there before the first packet is let through.
        let route = Route::new(ssrc, outlet, codec);
        self.routes.insert(Arc::new(match before {
            Some(before) => route.going_on(&before),
            None => route,
        }));
        Ok(())
    }

    /// Lets a stream through no more, and waits for it all the same: whoever asks how long ago media came hears of it.
    pub fn shut(&self, ssrc: Ssrc) {
        self.remove(ssrc);
        self.routes.wait_for(ssrc, true);
    }

    /// Waits for it no more.
    pub fn give_up(&self, ssrc: Ssrc) {
        self.routes.wait_for(ssrc, false);
    }

    /// Lets a stream through no more.
    pub fn remove(&self, ssrc: Ssrc) {
        if self.routes.remove(ssrc).is_none() {
            return;
        }
        if let Some(running) = &*locked(&self.running) {
            running.remove_sink(ssrc);
        }
    }

    /// The RTP port that it listens on.
    pub fn port(&self) -> u16 {
        self.input.port
    }

    /// The streams that are let through.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// What came in.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// RTCP came to the port beside this one.
    pub fn came_beside(&self, from: SocketAddr) {
        if self.senders.covers(|| Some(from)) {
            self.counters.beside.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Bytes of the receive buffer.
    pub fn receive_buffer(&self) -> Option<usize> {
        udp::receive_buffer(&self.socket)
    }

    /// Packets that the kernel dropped because they were not read in time.
    pub fn overflow(&self) -> u64 {
        udp::drops(&self.socket).map_or(0, u64::from)
    }

    /// The socket that media comes in by, to send from.
    pub fn socket(&self) -> io::Result<UdpSocket> {
        self.socket.try_clone()
    }

    /// Why it does not run.
    pub fn problem(&self) -> Option<String> {
        locked(&self.problem).clone()
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Ends it.
    pub fn stop(&self) {
        if let Some(running) = locked(&self.running).take() {
            running.end();
        }
    }

    fn build(&self) -> Result<Running, PipelineError> {
        let source = element("udpsrc")?;
        source.set_property("socket", for_gstreamer(&self.socket)?);
        source.set_property("close-socket", false);
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", self.kind.name())
            .field("clock-rate", self.kind.clock_rate() as i32)
            .build();
        source.set_property("caps", caps);
        let demux = element("rtpssrcdemux")?;
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([&source, &demux])?;
        source.link_pads(Some("src"), &demux, Some("sink"))?;
        let entry = source.static_pad("src").ok_or(PipelineError::Missing("udpsrc"))?;
        Gate {
            input: self.input,
            senders: self.senders.clone(),
            routes: self.routes.clone(),
            counters: self.counters.clone(),
            tell: UdpSocket::bind(SocketAddr::new(self.input.address, 0)).ok(),
            notices: self.notices.clone(),
        }
        .watch(&entry);
        let sinks: Arc<Mutex<HashMap<Ssrc, gst::Element>>> = Arc::default();
        let running = Running { pipeline, demux, entry, sinks };
        running.link_new_pads();
        for route in self.routes.all() {
            running.add_sink(route.ssrc, &route.outlet)?;
        }
        if running.pipeline.set_state(gst::State::Playing).is_err() {
            let why = running.first_error().unwrap_or_else(|| "it does not start".to_owned());
            running.end();
            return Err(PipelineError::Port { kind: self.kind.name(), port: self.input.port, why });
        }
        Ok(running)
    }

    /// Listens to the pipeline's bus for as long as there is a lane.
    fn watch(self: &Arc<Self>, running: &Running) {
        let Some(bus) = running.pipeline.bus() else { return };
        let lane = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut messages = bus.stream();
            let (mut warned, started) = (Muffled::default(), Instant::now());
            while let Some(message) = messages.next().await {
                let why = match message.view() {
                    gst::MessageView::Error(error) => error.error().to_string(),
                    gst::MessageView::Eos(_) => "the input ended".to_owned(),
                    // One a packet, when Janus does not take them.
                    gst::MessageView::Warning(warning) => {
                        if let Some(swallowed) = warned.may(started.elapsed()) {
                            tracing::warn!(swallowed, "GStreamer: {}", warning.error());
                        }
                        continue;
                    }
                    _ => continue,
                };
                let Some(lane) = lane.upgrade() else { return };
                lane.restart(why).await;
                return;
            }
        });
    }

    async fn restart(self: Arc<Self>, mut why: String) {
        loop {
            tracing::error!("the {} pipeline failed: {why}; it is started again", self.kind.name());
            *locked(&self.problem) = Some(format!("the {} pipeline failed: {why}", self.kind.name()));
            let built = {
                let mut running = locked(&self.running);
                // None: it was told to stop.
                let Some(old) = running.take() else { return };
                old.end();
                let built = self.build();
                if let Ok(new) = built {
                    self.restarts.fetch_add(1, Ordering::Relaxed);
                    *locked(&self.problem) = None;
                    self.watch(&new);
                    *running = Some(new);
                    return;
                }
                // Kept, so that it is known that it is to run.
                *running = Some(old);
                built
            };
            if let Err(error) = built {
                why = error.to_string();
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Running {
    /// What goes into this process is taken before the demux.
    fn add_sink(&self, ssrc: Ssrc, outlet: &Outlet) -> Result<(), PipelineError> {
        let Outlet::Port(target) = outlet else { return Ok(()) };
        let sink = element("udpsink")?;
        sink.set_property("host", target.ip().to_string());
        sink.set_property("port", i32::from(target.port()));
        sink.set_property("sync", false);
        sink.set_property("async", false);
        sink.set_property("auto-multicast", false);
        self.pipeline.add(&sink)?;
        sink.sync_state_with_parent()?;
        locked(&self.sinks).insert(ssrc, sink);
        Ok(())
    }

    /// Takes a stream's pad off the demux and ends its sink, at a moment at which no packet is between the probe and the
    /// demux: one that is would make the demux think of a new stream.
    fn remove_sink(&self, ssrc: Ssrc) {
        let Some(sink) = locked(&self.sinks).remove(&ssrc) else { return };
        let (done, waiting) = mpsc::channel();
        let demux = self.demux.clone();
        self.entry.add_probe(gst::PadProbeType::IDLE, move |_, _| {
            demux.emit_by_name::<()>("clear-ssrc", &[&ssrc.0]);
            let _ = done.send(());
            gst::PadProbeReturn::Remove
        });
        if waiting.recv_timeout(IDLE).is_err() {
            tracing::warn!("the pipeline was not idle for {IDLE:?}; SSRC {ssrc} is taken out regardless");
            self.demux.emit_by_name::<()>("clear-ssrc", &[&ssrc.0]);
        }
        let _ = sink.set_state(gst::State::Null);
        let _ = self.pipeline.remove(&sink);
    }

    /// A stream's first packet makes a pad; its sink waits for it.
    fn link_new_pads(&self) {
        let sinks = self.sinks.clone();
        let pipeline = self.pipeline.downgrade();
        self.demux.connect_pad_added(move |_, pad| {
            let name = pad.name();
            // `rtcp_src_…` is not used.
            let Some(ssrc) = name.strip_prefix("src_").and_then(|ssrc| ssrc.parse::<Ssrc>().ok()) else {
                return;
            };
            let sink = locked(&sinks).get(&ssrc).cloned();
            let sink = sink.or_else(|| nowhere(pipeline.upgrade()?));
            let linked = sink.and_then(|sink| sink.static_pad("sink")).map(|sink| pad.link(&sink));
            if !matches!(linked, Some(Ok(_))) {
                tracing::error!("SSRC {ssrc} could not be linked: {linked:?}");
            }
        });
    }

    fn first_error(&self) -> Option<String> {
        let bus = self.pipeline.bus()?;
        let message = bus.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => {
                Some(error.debug().unwrap_or_else(|| error.error().to_string().into()).replace('\n', " "))
            }
            _ => None,
        }
    }

    fn end(&self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A pad that nothing is linked to would stop all streams: the last resort.
fn nowhere(pipeline: gst::Pipeline) -> Option<gst::Element> {
    let sink = element("fakesink").ok()?;
    sink.set_property("sync", false);
    sink.set_property("async", false);
    pipeline.add(&sink).ok()?;
    sink.sync_state_with_parent().ok()?;
    Some(sink)
}

fn for_gstreamer(socket: &UdpSocket) -> Result<gio::Socket, PipelineError> {
    let other = |error: String| PipelineError::Other(error);
    let socket = socket.try_clone().map_err(|error| other(error.to_string()))?;
    // SAFETY: the descriptor is open, is a socket, and is given away: from here on it is GIO's to close.
    unsafe { gio::Socket::from_fd(OwnedFd::from(socket)) }.map_err(|error| other(error.to_string()))
}

fn element(name: &'static str) -> Result<gst::Element, PipelineError> {
    gst::ElementFactory::make(name).build().map_err(|_| PipelineError::Missing(name))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
