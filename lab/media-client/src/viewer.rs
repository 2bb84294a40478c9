//! [`Viewer`]: one WHEP session, from the offer to the decoded picture. Packets come by [`crate::watcher`], or all of it is
//! GStreamer's.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use serde_json::{Value, json};
use str0m::format::Codec;
use str0m::rtp::RtpPacket;

use crate::pictures::{self, Decode, Pictures};
use crate::session::Numbers;
use crate::tally::Tally;
use crate::watcher::{Audience, Joined, Manner, Shared, Watcher, locked};
use crate::watchers::Seats;
use crate::webrtcbin;
use crate::wish::{Endpoint, Resource};

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

/// Whose ICE, DTLS, SRTP and descriptions a viewer's are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Stack {
    /// Light, and as browsers offer.
    Str0m,
    /// `webrtcbin`, as in whepsrc.
    Gstreamer,
}

/// How somebody watches.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Habits {
    #[arg(long, value_enum, default_value_t = Decode::First)]
    pub decode: Decode,
    /// Whose WebRTC it is
    #[arg(long, value_enum, default_value_t = Stack::Str0m)]
    pub stack: Stack,
    /// Whose payload types are offered
    #[arg(long, value_enum, default_value_t = Numbers::Tree)]
    pub numbers: Numbers,
    /// Ask for packets that are missing; without it they count as lost
    #[arg(long)]
    pub repairs: bool,
}

impl Viewer {
    /// Begins; everything else follows by itself. `id` is no other viewer's.
    pub fn join(seats: &Seats, endpoint: &Endpoint, id: u64, habits: Habits) -> Self {
        let (packets, pictures, pipeline) = (Shared::default(), Arc::default(), gst::Pipeline::new());
        let began = Instant::now();
        let joining = {
            let (seats, endpoint, seen) = (seats.clone(), endpoint.clone(), packets.clone());
            let (pictures, pipeline) = (Arc::clone(&pictures), pipeline.clone());
            thread::spawn(move || {
                let joined = match habits.stack {
                    Stack::Gstreamer => webrtcbin::join(&pipeline, &endpoint, habits, &seen, &pictures),
                    Stack::Str0m => {
                        let screen = Screen::new(pipeline, habits.decode, &pictures);
                        join(&seats, &endpoint, id, habits, seen, screen)
                    }
                };
                joined.inspect_err(|error| locked(&pictures).error = Some(format!("{error:#}"))).ok()
            })
        };
        Self { id, seats: seats.clone(), began, packets, pictures, pipeline, joining: Some(joining) }
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

fn join(
    seats: &Seats,
    endpoint: &Endpoint,
    id: u64,
    habits: Habits,
    seen: Shared,
    screen: Screen,
) -> Result<Resource> {
    let Habits { numbers, repairs, .. } = habits;
    let manner = Manner { numbers, thorough: true, repairs, loss: 0.0 };
    match Watcher::join(endpoint, None, manner, id, seen, Some(Box::new(screen)))? {
        Joined::Seated(watcher, resource) => {
            seats.sit(id, watcher);
            Ok(resource)
        }
        Joined::Refused(status, why) => bail!("the offer is answered {status}: {why}"),
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
    fn new(pipeline: gst::Pipeline, decode: Decode, pictures: &Arc<Mutex<Pictures>>) -> Self {
        Self { pipeline, pictures: Arc::clone(pictures), decode, source: None, keyframe: Arc::default() }
    }

    fn show(&mut self, codec: Codec, packet: &RtpPacket) -> Result<()> {
        let source = match self.source.take() {
            Some(source) => source,
            None => self.open(codec, *packet.header.payload_type)?,
        };
        let source = self.source.insert(source);
        source.push_buffer(gst::Buffer::from_mut_slice(rtp(packet))).map(drop).context("no room for packets")
    }

    fn open(&self, codec: Codec, payload_type: u8) -> Result<gst_app::AppSrc> {
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", "video")
            .field("encoding-name", pictures::encoding(codec)?)
            .field("payload", i32::from(payload_type))
            .field("clock-rate", 90_000)
            .build();
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(true)
            .do_timestamp(true)
            .build();
        let wanted = self.keyframe.clone();
        let pad = source.static_pad("src").context("no packets")?;
        pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            let name = info.event().and_then(|event| event.structure()).map(gst::StructureRef::name);
            if name.is_some_and(|name| name == "GstForceKeyUnit") {
                wanted.store(true, Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
        let [depayloader, decoder, sink] = pictures::elements(codec, self.decode, &self.pictures)?;
        let elements = [source.upcast_ref(), &depayloader, &decoder, &sink];
        self.pipeline.add_many(elements)?;
        gst::Element::link_many(elements)?;
        self.pipeline.set_state(gst::State::Playing).context("starting to view")?;
        Ok(source)
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
