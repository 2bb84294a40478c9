//! [`Viewer`]: one WHEP session, from the offer to the decoded picture.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gst::prelude::*;
use serde_json::{Value, json};

use crate::rtp::Counted;
use crate::stamp;

/// The payload types that browsers offer, one of which the server will use.
const VIDEO: &str = "application/x-rtp,media=video,payload=96,encoding-name=VP8,clock-rate=90000; \
    application/x-rtp,media=video,payload=108,encoding-name=H264,clock-rate=90000,packetization-mode=(string)1,\
    profile-level-id=(string)42e01f";
const AUDIO: &str = "application/x-rtp,media=audio,payload=111,encoding-name=OPUS,clock-rate=48000";

/// How much of the video is decoded. Decoding is what many viewers on one machine cost.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Decode {
    /// Up to the first picture.
    First,
    /// Everything, which the time in the pictures needs.
    All,
}

/// What one viewer has seen.
#[derive(Clone, Debug)]
pub struct Seen {
    began: Instant,
    /// When the offer was sent, all candidates in it.
    offered: Option<Instant>,
    /// Video packets.
    pub video: Counted,
    /// Audio packets.
    pub audio: Counted,
    /// Whole frames.
    pub frames: u64,
    /// Frames that were decoded.
    pub decoded: u64,
    /// The first decoded frame.
    pub first_frame: Option<Instant>,
    last_frame: Option<Instant>,
    /// Longest time between two frames.
    pub longest_gap: Duration,
    /// Each decoded frame's age, from the time in it.
    pub ages_ms: Vec<u32>,
    /// What ended it.
    pub error: Option<String>,
}

impl Seen {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            offered: None,
            video: Counted::default(),
            audio: Counted::default(),
            frames: 0,
            decoded: 0,
            first_frame: None,
            last_frame: None,
            longest_gap: Duration::ZERO,
            ages_ms: Vec::new(),
            error: None,
        }
    }

    fn frame(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last_frame {
            self.longest_gap = self.longest_gap.max(now - last);
        }
        self.last_frame = Some(now);
        self.frames += 1;
    }

    /// How long no frame has come; since the start when none has.
    pub fn silence(&self) -> Duration {
        self.last_frame.unwrap_or(self.began).elapsed()
    }

    /// For the log.
    pub fn json(&self) -> Value {
        json!({
            "videoSsrc": self.video.ssrc, "videoPackets": self.video.packets, "videoLost": self.video.lost,
            "audioSsrc": self.audio.ssrc, "audioPackets": self.audio.packets, "audioLost": self.audio.lost,
            "ssrcChanges": self.video.restarts + self.audio.restarts,
            "frames": self.frames, "decoded": self.decoded,
            "firstFrameMs": self.first_frame.map(|frame| ms(frame - self.began)),
            "offerToFrameMs": self.first_frame.zip(self.offered).map(|(frame, offer)| ms(frame - offer)),
            "longestGapMs": self.longest_gap.as_millis() as u64,
            "silentMs": self.silence().as_millis() as u64,
            "error": self.error,
        })
    }
}

/// A running session. Dropping it sends the DELETE.
pub struct Viewer {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    seen: Arc<Mutex<Seen>>,
}

impl Viewer {
    /// Makes the offer; everything else follows by itself.
    pub fn join(endpoint: &str, decode: Decode) -> Result<Self> {
        let source = gst::ElementFactory::make("whepsrc")
            .property("whep-endpoint", endpoint)
            .property("video-caps", VIDEO.parse::<gst::Caps>()?)
            .property("audio-caps", AUDIO.parse::<gst::Caps>()?)
            .build()
            .context("whepsrc")?;
        if let Ok(token) = std::env::var("WHEP_TOKEN") {
            source.set_property("auth-token", token);
        }
        let pipeline = gst::Pipeline::new();
        pipeline.add(&source)?;
        let seen = Arc::new(Mutex::new(Seen::new()));
        let (weak, noted) = (pipeline.downgrade(), seen.clone());
        source.connect_pad_added(move |_, pad| {
            let (weak, noted) = (weak.clone(), noted.clone());
            // Only its caps say what it is, and they come with the first packet.
            pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
                let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) else {
                    return gst::PadProbeReturn::Ok;
                };
                if let Some(pipeline) = weak.upgrade()
                    && let Err(error) = receive(&pipeline, pad, caps.caps(), decode, &noted)
                {
                    locked(&noted).error = Some(format!("{error:#}"));
                }
                gst::PadProbeReturn::Remove
            });
        });
        note_offer(&source, &seen)?;
        let bus = pipeline.bus().context("a pipeline without a bus")?;
        locked(&seen).began = Instant::now();
        let viewer = Self { pipeline, bus, seen };
        viewer.pipeline.set_state(gst::State::Playing).context("starting to view")?;
        Ok(viewer)
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        while let Some(message) = self.bus.pop_filtered(&[gst::MessageType::Error]) {
            if let gst::MessageView::Error(error) = message.view() {
                locked(&self.seen).error.get_or_insert_with(|| error.error().to_string());
            }
        }
        locked(&self.seen).clone()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // It fails only when the elements have failed already.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The element posts its offer when its inner webrtcbin has gathered all candidates.
fn note_offer(source: &gst::Element, seen: &Arc<Mutex<Seen>>) -> Result<()> {
    const COMPLETE: i32 = 2;
    let bin = source.downcast_ref::<gst::Bin>().context("whepsrc is no bin")?;
    let is_webrtc =
        |child: &gst::Element| child.factory().is_some_and(|factory| factory.name() == "webrtcbin");
    let webrtc = bin.children().into_iter().find(is_webrtc).context("whepsrc without a webrtcbin")?;
    let noted = seen.clone();
    webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
        let state = webrtc.property_value("ice-gathering-state").transform::<i32>();
        if state.is_ok_and(|state| state.get::<i32>() == Ok(COMPLETE)) {
            locked(&noted).offered.get_or_insert_with(Instant::now);
        }
    });
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn receive(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    caps: &gst::CapsRef,
    decode: Decode,
    seen: &Arc<Mutex<Seen>>,
) -> Result<()> {
    let encoding = caps.structure(0).and_then(|caps| caps.get::<String>("encoding-name").ok());
    let video = match encoding.as_deref() {
        Some("VP8") => Some(["rtpvp8depay", "vp8dec"]),
        Some("H264") => Some(["rtph264depay", "avdec_h264"]),
        Some(_) => None,
        None => anyhow::bail!("a stream of no known encoding: {caps}"),
    };
    let noted = seen.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(map) = info.buffer().and_then(|buffer| buffer.map_readable().ok()) {
            let mut seen = locked(&noted);
            if video.is_some() { &mut seen.video } else { &mut seen.audio }.count(&map);
        }
        gst::PadProbeReturn::Ok
    });
    let sink =
        gst::ElementFactory::make("fakesink").property("sync", false).property("async", false).build()?;
    let Some([depayloader, decoder]) = video else { return chain(pipeline, pad, &[sink]) };
    let depayloader = gst::ElementFactory::make(depayloader)
        .property("request-keyframe", true)
        .property("wait-for-keyframe", true)
        .build()?;
    let decoder = gst::ElementFactory::make(decoder).build()?;
    watch_frames(&depayloader, decode, seen)?;
    watch_pictures(&sink, seen)?;
    chain(pipeline, pad, &[depayloader, decoder, sink])
}

/// Counts frames, and keeps those from the decoder that nobody wants decoded.
fn watch_frames(depayloader: &gst::Element, decode: Decode, seen: &Arc<Mutex<Seen>>) -> Result<()> {
    let noted = seen.clone();
    let pad = depayloader.static_pad("src").context("no frames")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let mut seen = locked(&noted);
        seen.frame();
        if decode == Decode::First && seen.decoded > 0 {
            return gst::PadProbeReturn::Drop;
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Counts pictures, and reads the time in them.
fn watch_pictures(sink: &gst::Element, seen: &Arc<Mutex<Seen>>) -> Result<()> {
    let noted = seen.clone();
    let pad = sink.static_pad("sink").context("no pictures")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let now = crate::now_ms();
        let width = pad.current_caps().and_then(|caps| caps.structure(0)?.get::<i32>("width").ok());
        let map = info.buffer().and_then(|buffer| buffer.map_readable().ok());
        // I420 without more ado has its luma first, in rows that are a multiple of 4 long.
        let painted =
            width.zip(map).and_then(|(width, map)| stamp::read(&map, (width as usize).div_ceil(4) * 4));
        let mut seen = locked(&noted);
        seen.decoded += 1;
        seen.first_frame.get_or_insert_with(Instant::now);
        seen.ages_ms.extend(painted.map(|made| now.wrapping_sub(made)));
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn chain(pipeline: &gst::Pipeline, pad: &gst::Pad, elements: &[gst::Element]) -> Result<()> {
    pipeline.add_many(elements)?;
    gst::Element::link_many(elements)?;
    for element in elements {
        element.sync_state_with_parent()?;
    }
    pad.link(&elements[0].static_pad("sink").context("no sink pad")?)?;
    Ok(())
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
