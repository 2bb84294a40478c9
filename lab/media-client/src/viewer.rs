//! [`Viewer`]: one WHEP session, from the offer to the decoded picture. Packets come by [`crate::watcher`], pictures are GStreamer's.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use serde_json::{Value, json};
use str0m::format::Codec;
use str0m::rtp::RtpPacket;

use crate::session::Numbers;
use crate::stamp;
use crate::tally::Tally;
use crate::watcher::{Audience, Joined, Manner, Shared, Watcher, locked};
use crate::watchers::Seats;
use crate::wish::{Endpoint, Resource};

/// How much of the video is decoded. Decoding is what many viewers on one machine cost.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Decode {
    /// Up to the first picture.
    First,
    /// Everything, which the time in the pictures needs.
    All,
}

/// What became of the pictures.
#[derive(Clone, Debug, Default)]
struct Pictures {
    /// Whole frames.
    frames: u64,
    /// Frames that were decoded.
    decoded: u64,
    /// The first decoded frame.
    first: Option<Instant>,
    last: Option<Instant>,
    /// Longest time between two frames.
    longest_gap: Duration,
    /// Each decoded frame's age, from the time in it.
    ages_ms: Vec<u32>,
    /// What ended it.
    error: Option<String>,
}

impl Pictures {
    fn frame(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last {
            self.longest_gap = self.longest_gap.max(now - last);
        }
        self.last = Some(now);
        self.frames += 1;
    }
}

/// What one viewer has seen.
pub struct Seen {
    began: Instant,
    offered: Option<Instant>,
    video: Tally,
    audio: Tally,
    pictures: Pictures,
}

impl Seen {
    /// Whole frames.
    pub fn frames(&self) -> u64 {
        self.pictures.frames
    }

    /// Frames that were decoded.
    pub fn decoded(&self) -> u64 {
        self.pictures.decoded
    }

    /// Each decoded frame's age.
    pub fn ages_ms(&self) -> &[u32] {
        &self.pictures.ages_ms
    }

    /// True when it has ended.
    pub fn failed(&self) -> bool {
        self.pictures.error.is_some()
    }

    /// How long no frame has come; since the start when none has.
    pub fn silence(&self) -> Duration {
        self.pictures.last.unwrap_or(self.began).elapsed()
    }

    /// For the log.
    pub fn json(&self) -> Value {
        let Self { began, offered, video, audio, pictures } = self;
        json!({
            "videoSsrc": video.ssrc, "videoPackets": video.packets, "videoLost": video.lost,
            "audioSsrc": audio.ssrc, "audioPackets": audio.packets, "audioLost": audio.lost,
            "ssrcChanges": video.restarts + audio.restarts,
            "frames": pictures.frames, "decoded": pictures.decoded,
            "firstFrameMs": pictures.first.map(|frame| ms(frame - *began)),
            "offerToFrameMs": pictures.first.zip(*offered).map(|(frame, offer)| ms(frame - offer)),
            "longestGapMs": pictures.longest_gap.as_millis() as u64,
            "silentMs": self.silence().as_millis() as u64,
            "error": pictures.error,
        })
    }
}

/// A running session. Dropping it sends the DELETE.
pub struct Viewer {
    id: u64,
    seats: Seats,
    began: Instant,
    packets: Shared,
    pictures: Arc<Mutex<Pictures>>,
    pipeline: gst::Pipeline,
    joining: Option<JoinHandle<Option<Resource>>>,
}

impl Viewer {
    /// Begins; everything else follows by itself. `id` is no other viewer's.
    pub fn join(seats: &Seats, endpoint: &Endpoint, id: u64, decode: Decode) -> Self {
        let (packets, pictures, pipeline) = (Shared::default(), Arc::default(), gst::Pipeline::new());
        let screen = Screen {
            pipeline: pipeline.clone(),
            pictures: Arc::clone(&pictures),
            decode,
            source: None,
            keyframe: Arc::default(),
        };
        let (endpoint, seen, noted) = (endpoint.clone(), packets.clone(), Arc::clone(&pictures));
        let (seats, taken) = (seats.clone(), seats.clone());
        let began = Instant::now();
        let joining = thread::spawn(move || {
            // What is lost is to be seen, so nothing is asked for again.
            let manner = Manner { numbers: Numbers::Tree, thorough: true, repairs: false, loss: 0.0 };
            let why = match Watcher::join(&endpoint, None, manner, id, seen, Some(Box::new(screen))) {
                Ok(Joined::Seated(watcher, resource)) => {
                    taken.sit(id, watcher);
                    return Some(resource);
                }
                Ok(Joined::Refused(status, why)) => format!("the offer is answered {status}: {why}"),
                Err(error) => format!("{error:#}"),
            };
            locked(&noted).error = Some(why);
            None
        });
        Self { id, seats, began, packets, pictures, pipeline, joining: Some(joining) }
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        let packets = locked(&self.packets).clone();
        let mut pictures = locked(&self.pictures);
        let messages = self.pipeline.bus();
        while let Some(message) =
            messages.as_ref().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]))
        {
            if let gst::MessageView::Error(error) = message.view() {
                pictures.error.get_or_insert_with(|| error.error().to_string());
            }
        }
        if pictures.error.is_none() {
            pictures.error.clone_from(&packets.ended);
        }
        let pictures = pictures.clone();
        Seen {
            began: self.began,
            offered: packets.offered,
            video: packets.video,
            audio: packets.audio,
            pictures,
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if let Some(Ok(Some(resource))) = self.joining.take().map(JoinHandle::join) {
            // A server that is gone has nothing to end.
            let _ = resource.delete();
            self.seats.leave(self.id, true);
        }
        // It fails only when the elements have failed already.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Where packets become pictures.
struct Screen {
    pipeline: gst::Pipeline,
    pictures: Arc<Mutex<Pictures>>,
    decode: Decode,
    source: Option<gst_app::AppSrc>,
    /// Somebody in the pipeline wants one.
    keyframe: Arc<AtomicBool>,
}

impl Audience for Screen {
    fn packet(&mut self, codec: Codec, packet: &RtpPacket) {
        if !codec.is_video() {
            return;
        }
        let shown = self.show(codec, packet);
        if let Err(error) = shown {
            locked(&self.pictures).error.get_or_insert(format!("{error:#}"));
        }
    }

    fn wants_keyframe(&mut self) -> bool {
        self.keyframe.swap(false, Relaxed)
    }
}

impl Screen {
    fn show(&mut self, codec: Codec, packet: &RtpPacket) -> Result<()> {
        let source = match &self.source {
            Some(source) => source,
            None => self.source.insert(receive(
                &self.pipeline,
                codec,
                packet,
                self.decode,
                &self.pictures,
                &self.keyframe,
            )?),
        };
        source.push_buffer(gst::Buffer::from_mut_slice(rtp(packet))).map(drop).context("no room for packets")
    }
}

/// As it came, without its extensions.
fn rtp(packet: &RtpPacket) -> Vec<u8> {
    let header = node::media::rtp::Header {
        payload_type: *packet.header.payload_type,
        sequence: *packet.seq_no as u16,
        timestamp: packet.header.timestamp,
        ssrc: node::media::Ssrc(*packet.header.ssrc),
    };
    let mut bytes = [&header.bytes()[..], &packet.payload].concat();
    bytes[1] |= u8::from(packet.header.marker) << 7;
    bytes
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn receive(
    pipeline: &gst::Pipeline,
    codec: Codec,
    first: &RtpPacket,
    decode: Decode,
    pictures: &Arc<Mutex<Pictures>>,
    keyframe: &Arc<AtomicBool>,
) -> Result<gst_app::AppSrc> {
    let (encoding, [depayloader, decoder]) = match codec {
        Codec::Vp8 => ("VP8", ["rtpvp8depay", "vp8dec"]),
        Codec::H264 => ("H264", ["rtph264depay", "avdec_h264"]),
        other => bail!("{other} cannot be shown"),
    };
    let caps = gst::Caps::builder("application/x-rtp")
        .field("media", "video")
        .field("encoding-name", encoding)
        .field("payload", i32::from(*first.header.payload_type))
        .field("clock-rate", 90_000)
        .build();
    let source = gst_app::AppSrc::builder()
        .caps(&caps)
        .format(gst::Format::Time)
        .is_live(true)
        .do_timestamp(true)
        .build();
    let wanted = keyframe.clone();
    let pad = source.static_pad("src").context("no packets")?;
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let name = info.event().and_then(|event| event.structure()).map(gst::StructureRef::name);
        if name.is_some_and(|name| name == "GstForceKeyUnit") {
            wanted.store(true, Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    let depayloader = gst::ElementFactory::make(depayloader)
        .property("request-keyframe", true)
        .property("wait-for-keyframe", true)
        .build()?;
    let decoder = gst::ElementFactory::make(decoder).build()?;
    let sink =
        gst::ElementFactory::make("fakesink").property("sync", false).property("async", false).build()?;
    watch_frames(&depayloader, decode, pictures)?;
    watch_pictures(&sink, pictures)?;
    let elements = [source.upcast_ref(), &depayloader, &decoder, &sink];
    pipeline.add_many(elements)?;
    gst::Element::link_many(elements)?;
    pipeline.set_state(gst::State::Playing).context("starting to view")?;
    Ok(source)
}

/// Counts frames, and keeps those from the decoder that nobody wants decoded.
fn watch_frames(depayloader: &gst::Element, decode: Decode, pictures: &Arc<Mutex<Pictures>>) -> Result<()> {
    let noted = pictures.clone();
    let pad = depayloader.static_pad("src").context("no frames")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let mut pictures = locked(&noted);
        pictures.frame();
        if decode == Decode::First && pictures.decoded > 0 {
            return gst::PadProbeReturn::Drop;
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Counts pictures, and reads the time in them.
fn watch_pictures(sink: &gst::Element, pictures: &Arc<Mutex<Pictures>>) -> Result<()> {
    let noted = pictures.clone();
    let pad = sink.static_pad("sink").context("no pictures")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let now = crate::now_ms();
        let width = pad.current_caps().and_then(|caps| caps.structure(0)?.get::<i32>("width").ok());
        let map = info.buffer().and_then(|buffer| buffer.map_readable().ok());
        // I420 without more ado has its luma first, in rows that are a multiple of 4 long.
        let painted =
            width.zip(map).and_then(|(width, map)| stamp::read(&map, (width as usize).div_ceil(4) * 4));
        let mut pictures = locked(&noted);
        pictures.decoded += 1;
        pictures.first.get_or_insert_with(Instant::now);
        pictures.ages_ms.extend(painted.map(|made| now.wrapping_sub(made)));
        gst::PadProbeReturn::Ok
    });
    Ok(())
}
