//! The GStreamer part: an encoder's frames in, a WebRTC publication out.
//!
//! Baseline H264 is only repacked: it costs next to nothing, and keyframes come when the encoder makes one, because RTMP
//! has no way to ask. Anything else is decoded and encoded anew, which costs a CPU as any encoder does, and then
//! keyframes come on demand. AAC always becomes Opus, the only audio that WebRTC has everywhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_app::AppSrc;
use gst_webrtc::{WebRTCSDPType, WebRTCSessionDescription};
use node::media::{Codec, Kind, PerKind, VideoCodec};
use tokio::sync::{mpsc, oneshot};

use super::clock::{self, Lead};
use super::flv;
use super::gate::Gate;
use super::intake::{Tracks, Unit};
use super::offer::offer_of;
use crate::pipeline::PipelineError;

/// The elements, and the packages that have them.
const ELEMENTS: [(&str, &[&str]); 5] = [
    ("gstreamer1.0-plugins-base", &["appsrc", "audioconvert", "audioresample", "opusenc", "videoconvert"]),
    ("gstreamer1.0-plugins-good", &["aacparse", "rtph264pay", "rtpopuspay"]),
    ("gstreamer1.0-plugins-bad", &["h264parse", "webrtcbin", "dtlssrtpenc"]),
    ("gstreamer1.0-plugins-ugly", &["x264enc"]),
    ("gstreamer1.0-libav", &["avdec_aac", "avdec_h264"]),
];
/// What webrtcbin cannot do without and has no name for when it is missing.
const ICE: (&str, &str) = ("gstreamer1.0-nice", "nicesrc");
/// What may wait for the pipeline: a connection that comes about slowly, no more.
const BACKLOG: Duration = Duration::from_secs(3);
/// … and so many bytes, whatever their timestamps say.
const MOST_BYTES: u64 = 16 << 20;
/// … and so many frames, however small they are.
const MOST_FRAMES: u64 = 4096;
/// Most pixels of a picture that is decoded: 4096 × 2304 (H.264 level 5.1). A decoder makes room for some twenty.
const MOST_PIXELS: i64 = 4096 * 2304;
/// Video encoded anew gets the bitrate that it came with, within these limits, in kbit/s.
const KBITS: (u32, u32) = (200, 12_000);
/// If the encoder does not say.
const DEFAULT_KBITS: u32 = 2500;
/// What the pipeline's clock says when ours says 0, so that frames can be moved back by as much: see [`Lead`].
const ORIGIN: Duration = clock::MOST_LEAD;
/// The element in front of a decoder of video.
const DECODED: &str = "decoded";
/// The elements behind which frames are held back, audio's and video's.
const GATES: [&str; 2] = ["audio-gate", "video-gate"];

/// Makes sure that everything is installed; an error says what is not.
pub fn init() -> Result<(), String> {
    let ice = (ICE.0, &[ICE.1][..]);
    for (package, elements) in ELEMENTS.into_iter().chain([ice]) {
        if let Some(missing) = elements.iter().find(|element| gst::ElementFactory::find(element).is_none()) {
            return Err(format!("RTMP needs GStreamer's '{missing}' (apt install {package})"));
        }
    }
    Ok(())
}

/// A running pipeline; dropping it ends it.
pub struct Bridge {
    pipeline: gst::Pipeline,
    peer: gst::Element,
    sources: PerKind<Option<AppSrc>>,
    /// What it was built for, and renewed with.
    tracks: Tracks,
    skipper: Skipper,
    gate: Arc<Gate>,
    /// The pads at the gate.
    pads: Vec<gst::Pad>,
    lead: Lead,
}

/// What a [`Bridge`] has to say later.
pub struct Said {
    /// The offer, with all candidates in it.
    pub offer: oneshot::Receiver<Result<String, String>>,
    /// Why it broke.
    pub broken: mpsc::UnboundedReceiver<String>,
}

impl Bridge {
    /// Builds and starts. The offer comes about when the first frames have been [`push`](Self::push)ed.
    /// `began`: when the frames' clock was 0.
    pub fn start(tracks: &Tracks, began: Instant) -> Result<(Bridge, Said), PipelineError> {
        let missing = |what: &str| PipelineError(format!("the pipeline has no {what}"));
        let pipeline = gst::parse::launch(&description(tracks))
            .map_err(|error| PipelineError(error.to_string()))?
            .downcast::<gst::Pipeline>()
            .map_err(|_| missing("pipeline"))?;
        let peer = pipeline.by_name("peer").ok_or_else(|| missing("webrtcbin"))?;
        let source = |name: &str, caps: Option<gst::Caps>| match caps {
            None => Ok(None),
            Some(caps) => {
                let source = pipeline.by_name(name).and_then(|source| source.downcast::<AppSrc>().ok());
                let source = source.ok_or_else(|| missing(name))?;
                source.set_caps(Some(&caps));
                Ok::<_, PipelineError>(Some(source))
            }
        };
        let sources = PerKind {
            audio: source(Kind::Audio.name(), tracks.audio.as_ref().map(|config| aac(config)))?,
            video: source(Kind::Video.name(), tracks.video.as_ref().map(|config| avc(config)))?,
        };
        let (telling, broken) = mpsc::unbounded_channel();
        if let Some(parser) = pipeline.by_name(DECODED).and_then(|parser| parser.static_pad("src")) {
            limit(&parser, telling.clone());
        }
        let bus = pipeline.bus().ok_or_else(|| missing("bus"))?;
        bus.set_sync_handler(move |_, message| {
            if let gst::MessageView::Error(error) = message.view() {
                let _ = telling.send(format!("GStreamer: {}", error.error()));
            }
            gst::BusSyncReply::Drop
        });
        // Frames of before the start are late by as much as they are: what RTCP says of them is right. Both clocks are read
        // at once, now that the pipeline is built, which takes its time.
        let clock = gst::SystemClock::obtain();
        pipeline.use_clock(Some(&clock));
        pipeline.set_start_time(gst::ClockTime::NONE);
        let age = gst::ClockTime::from_nseconds((ORIGIN + began.elapsed()).as_nanos() as u64);
        pipeline.set_base_time(clock.time().unwrap_or_default().saturating_sub(age));
        let gate = Arc::new(Gate::default());
        let pads: Vec<_> =
            GATES.iter().filter_map(|name| pipeline.by_name(name)?.static_pad("src")).collect();
        for pad in &pads {
            hold(pad, gate.clone());
            pass_requests(pad);
        }
        let offer = offer_of(&peer);
        let (skipper, lead) = (Skipper::default(), Lead::default());
        let tracks = tracks.clone();
        let bridge = Bridge { pipeline, peer, sources, tracks, skipper, gate, pads, lead };
        bridge.pipeline.set_state(gst::State::Playing)?;
        Ok((bridge, Said { offer, broken }))
    }

    /// Goes on with another configuration, from the next frame on. `false`: it takes another bridge, because there is another
    /// medium, or video is to be encoded anew that was not, or the other way round.
    pub fn renew(&mut self, tracks: &Tracks) -> bool {
        let shape =
            |tracks: &Tracks| (tracks.audio.is_some(), tracks.video.is_some(), is_encoded_anew(tracks));
        if shape(&self.tracks) != shape(tracks) {
            return false;
        }
        let caps = |kind| match kind {
            Kind::Audio => {
                tracks.audio.as_ref().filter(|_| tracks.audio != self.tracks.audio).map(|config| aac(config))
            }
            Kind::Video => {
                tracks.video.as_ref().filter(|_| tracks.video != self.tracks.video).map(|config| avc(config))
            }
        };
        for (kind, source) in self.sources.iter() {
            if let (Some(source), Some(caps)) = (source, caps(kind)) {
                source.set_caps(Some(&caps));
            }
        }
        self.tracks = tracks.clone();
        true
    }

    /// Takes a frame that came at `now`. `false`: it is left out, for the pipeline is behind.
    pub fn push(&mut self, unit: Unit, now: Duration) -> bool {
        let Some(source) = &self.sources[unit.kind] else { return true };
        let backlog = source.current_level_time().map_or(Duration::ZERO, Duration::from);
        let fits = match unit.kind {
            _ if source.current_level_bytes() > MOST_BYTES
                || source.current_level_buffers() > MOST_FRAMES =>
            {
                false
            }
            Kind::Audio => backlog < BACKLOG,
            Kind::Video => self.skipper.takes(unit.key, backlog),
        };
        if !fits && unit.kind == Kind::Video {
            self.skipper.skipping = true;
        }
        if let Some(lead) = self.lead.comes(unit.shown_at, now) {
            // Behind the payloaders, so that RTP's timestamps keep the encoder's distances.
            self.pads.iter().for_each(|pad| pad.set_offset(-(lead.as_nanos() as i64)));
        }
        if fits {
            let mut buffer = gst::Buffer::from_slice(unit.data);
            if let Some(buffer) = buffer.get_mut() {
                buffer.set_pts(milliseconds(ORIGIN + unit.shown_at));
                buffer.set_dts(milliseconds(ORIGIN + unit.at));
                if !unit.key {
                    buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
                }
            }
            // It fails when the pipeline is broken, which the bus tells better.
            let _ = source.push_buffer(buffer);
        }
        fits
    }

    /// Lets frames go, because the other side takes them now.
    pub fn open(&self) {
        self.gate.open();
    }

    /// The other side's answer.
    pub fn answer(&self, sdp: &str) -> Result<(), PipelineError> {
        let sdp = gst_sdp::SDPMessage::parse_buffer(sdp.as_bytes())?;
        let answer = WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp);
        self.peer.emit_by_name::<()>("set-remote-description", &[&answer, &None::<gst::Promise>]);
        Ok(())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // The pipeline waits for its threads, and they for the gate.
        self.gate.end();
        // It cannot fail on the way down.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Has frames wait at a pad. Events pass: without them there is no offer.
fn hold(pad: &gst::Pad, gate: Arc<Gate>) {
    use gst::PadProbeType;
    // Each pad has times of its own: x264enc's begin at a thousand hours.
    let first = OnceLock::new();
    pad.add_probe(PadProbeType::BUFFER | PadProbeType::BUFFER_LIST, move |_, info| {
        let time = match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => buffer.pts(),
            Some(gst::PadProbeData::BufferList(list)) => list.get(0).and_then(|buffer| buffer.pts()),
            _ => None,
        };
        let after = time.map(|time| time.saturating_sub(*first.get_or_init(|| time)));
        match gate.passes(after.map_or(Duration::ZERO, Duration::from)) {
            true => gst::PadProbeReturn::Ok,
            false => gst::PadProbeReturn::Drop,
        }
    });
}

/// Lets no picture through that is larger than a decoder may make room for, wherever the encoder says so: its configuration, or
/// between two frames.
fn limit(pad: &gst::Pad, telling: mpsc::UnboundedSender<String>) {
    use gst::PadProbeType;
    let too_large = AtomicBool::new(false);
    let kinds = PadProbeType::EVENT_DOWNSTREAM | PadProbeType::BUFFER | PadProbeType::BUFFER_LIST;
    pad.add_probe(kinds, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &info.data {
            let gst::EventView::Caps(caps) = event.view() else { return gst::PadProbeReturn::Ok };
            let side = |name| {
                caps.caps().structure(0).and_then(|caps| caps.get::<i32>(name).ok()).unwrap_or_default()
            };
            let (width, height) = (side("width"), side("height"));
            if i64::from(width) * i64::from(height) > MOST_PIXELS {
                too_large.store(true, Ordering::Relaxed);
                let _ = telling.send(format!(
                    "the video has {width}x{height} pixels; encode at most 4096x2304, or the baseline profile"
                ));
            }
        }
        if too_large.load(Ordering::Relaxed) { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
    });
}

/// Has requests for keyframes pass a pad as they are. They name no time, and GStreamer (1.22) would add the pad's offset to
/// that all the same: the encoder would wait for a time that never comes.
fn pass_requests(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, |pad, info| {
        let Some(gst::PadProbeData::Event(event)) = &info.data else { return gst::PadProbeReturn::Ok };
        let request = event.structure().filter(|structure| structure.name() == "GstForceKeyUnit");
        let Some(request) = request else { return gst::PadProbeReturn::Ok };
        if let Some(before) = pad.parent_element().and_then(|gate| gate.static_pad("sink")) {
            before.push_event(gst::event::CustomUpstream::new(request.to_owned()));
        }
        gst::PadProbeReturn::Drop
    });
}

/// Leaves video out when too much of it waits, up to the next keyframe.
#[derive(Debug, Default)]
struct Skipper {
    skipping: bool,
}

impl Skipper {
    fn takes(&mut self, key: bool, backlog: Duration) -> bool {
        self.skipping = backlog >= BACKLOG || (self.skipping && !key);
        !self.skipping
    }
}

/// Whether video of this configuration is encoded anew.
pub fn is_encoded_anew(tracks: &Tracks) -> bool {
    tracks.video.as_ref().is_some_and(|config| !flv::is_baseline(config))
}

fn description(tracks: &Tracks) -> String {
    let mut text = "webrtcbin name=peer bundle-policy=max-bundle".to_owned();
    if tracks.video.is_some() {
        text += " appsrc name=video is-live=true format=time max-bytes=0 ! h264parse ";
        if !is_encoded_anew(tracks) {
            text += "! ";
        } else {
            let kbits = tracks.kbits.unwrap_or(DEFAULT_KBITS).clamp(KBITS.0, KBITS.1);
            // Slices, because threads that take a frame each hand it out a few frames later.
            text += &format!("name={DECODED} ! ");
            text += "avdec_h264 thread-type=slice ! videoconvert ! video/x-raw,format=I420 \
                     ! queue max-size-buffers=2 max-size-bytes=0 max-size-time=0 \
                     ! x264enc tune=zerolatency speed-preset=superfast bframes=0 key-int-max=300 ";
            text += &format!("bitrate={kbits} ! video/x-h264,profile=constrained-baseline ! ");
        }
        text += &format!(
            "rtph264pay pt={} mtu=1200 config-interval=-1 aggregate-mode=zero-latency ",
            VideoCodec::H264.payload_type()
        );
        text += "! queue name=video-gate ! peer.";
    }
    if tracks.audio.is_some() {
        text += " appsrc name=audio is-live=true format=time ! aacparse ! avdec_aac ! audioconvert ! audioresample \
                 ! audio/x-raw,rate=48000,channels=2 ! opusenc bitrate=128000 frame-size=20 ";
        text += &format!("! rtpopuspay pt={} ! queue name=audio-gate ! peer.", Codec::Opus.payload_type());
    }
    text
}

fn aac(config: &[u8]) -> gst::Caps {
    gst::Caps::builder("audio/mpeg")
        .field("mpegversion", 4)
        .field("stream-format", "raw")
        .field("framed", true)
        .field("codec_data", gst::Buffer::from_slice(config.to_vec()))
        .build()
}

fn avc(config: &[u8]) -> gst::Caps {
    gst::Caps::builder("video/x-h264")
        .field("stream-format", "avc")
        .field("alignment", "au")
        .field("codec_data", gst::Buffer::from_slice(config.to_vec()))
        .build()
}

fn milliseconds(time: Duration) -> gst::ClockTime {
    gst::ClockTime::from_mseconds(time.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_baseline_is_encoded_anew() {
        let tracks = |profile| Tracks {
            video: Some(vec![1, profile, 0, 31].into()),
            audio: None,
            kbits: Some(50_000),
        };
        assert!(!description(&tracks(66)).contains("x264enc"));
        assert!(description(&tracks(100)).contains("bitrate=12000 "));
        assert!(!description(&tracks(66)).contains("opusenc"));
        assert!(!is_encoded_anew(&Tracks::default()));
    }

    #[test]
    fn after_a_backlog_it_goes_on_with_a_keyframe() {
        let mut skipper = Skipper::default();
        let little = Duration::from_millis(40);
        let table = [
            (false, little, true),
            (true, BACKLOG, false),
            (false, little, false),
            (true, little, true),
            (false, little, true),
        ];
        for (key, backlog, takes) in table {
            assert_eq!(skipper.takes(key, backlog), takes);
        }
    }
}
