//! `publish`: a moving picture with the time in it, and a tone, in real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use gst::prelude::*;
use serde_json::json;

use crate::uplink::{Kind, Uplink};
use crate::wish::Endpoint;
use crate::{card, stamp};

const TICK: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    Vp8,
    H264,
}

#[derive(Args)]
pub struct Options {
    /// WHIP endpoint, or rtmp://HOST/live/SESSION
    #[arg(long)]
    endpoint: String,
    /// Of the video; by RTMP it is always H264
    #[arg(long, value_enum, default_value_t = Codec::Vp8)]
    codec: Codec,
    /// By RTMP: the High profile instead of baseline
    #[arg(long)]
    high: bool,
    #[arg(long, default_value_t = 640)]
    width: usize,
    #[arg(long, default_value_t = 360)]
    height: usize,
    #[arg(long, default_value_t = 30)]
    fps: u32,
    /// Of the video, kbit/s
    #[arg(long, default_value_t = 800)]
    bitrate: u32,
    /// Frames between keyframes that nobody asked for; many, so that a viewer who starts soon owes it to his request
    #[arg(long, default_value_t = 3000)]
    gop: u32,
    /// A picture of which no frame is like the one before, so that it takes all of the bitrate
    #[arg(long, conflicts_with = "title")]
    busy: bool,
    /// Publish a test card with this name and a clock, for people to look at
    #[arg(long)]
    title: Option<String>,
    /// Seconds without a word from the server after which it counts as gone, which is an error [default: never]
    #[arg(long)]
    patience: Option<u64>,
}

/// Publishes until SIGTERM; an error when the server ends it.
pub fn run(options: &Options) -> Result<()> {
    let (least_width, least_height) = stamp::LEAST_SIZE;
    anyhow::ensure!(
        options.width >= least_width && options.height >= least_height && options.width.is_multiple_of(4),
        "the picture is too small for the time in it, or its width is no multiple of 4"
    );
    let (least_width, least_height) = card::LEAST_SIZE;
    anyhow::ensure!(
        options.title.is_none()
            || options.width >= least_width
                && options.height >= least_height
                && options.width.is_multiple_of(8)
                && options.height.is_multiple_of(2),
        "the picture is too small for a title, or its width is no multiple of 8"
    );
    let by_rtmp = options.endpoint.starts_with("rtmp://");
    let description = if by_rtmp { rtmp_description(options) } else { description(options) };
    let pipeline = gst::parse::launch(&description).context("the publisher's pipeline")?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().ok().context("not a pipeline")?;
    if by_rtmp {
        let sink = pipeline.by_name("sink").context("no sink")?;
        sink.set_property("location", &options.endpoint);
    }
    paint_frames(&pipeline, options)?;
    let frames = count_frames(&pipeline)?;
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    // Connected before the first frame is made, which is a keyframe.
    let uplink = if by_rtmp { None } else { Some(uplink(options, &pipeline).inspect_err(tell_error)?) };
    pipeline.set_state(gst::State::Playing).context("starting to publish")?;
    let mut told = Instant::now();
    let result = loop {
        let timeout = gst::ClockTime::from_mseconds(50);
        let message = bus.timed_pop_filtered(timeout, &[gst::MessageType::Error, gst::MessageType::Eos]);
        let ended = match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => {
                Some(anyhow::anyhow!("{} ({:?})", error.error(), error.debug()))
            }
            Some(_) => Some(anyhow::anyhow!("the stream ended")),
            None => uplink.as_ref().and_then(Uplink::ended).map(anyhow::Error::msg),
        };
        if let Some(error) = ended {
            tell_error(&error);
            break Err(error);
        }
        if crate::stopped() {
            break Ok(());
        }
        if told.elapsed() >= TICK {
            told = Instant::now();
            let silent = uplink.as_ref().and_then(Uplink::silent_for).unwrap_or_default();
            if options.patience.is_some_and(|patience| silent >= Duration::from_secs(patience)) {
                break Err(anyhow::anyhow!("the server has not reported for {} s", silent.as_secs()));
            }
            crate::tell(&json!({
                "frames": frames.all.load(Relaxed),
                "keyframes": frames.key.load(Relaxed),
                "monotonicMs": crate::now_ms(),
            }));
        }
    };
    // Sends the DELETE.
    drop(uplink);
    pipeline.set_state(gst::State::Null).context("ending the publication")?;
    result
}

/// From the payloaders to the server, and the server's requests for keyframes to the encoder.
fn uplink(options: &Options, pipeline: &gst::Pipeline) -> Result<Uplink> {
    let encoder = pipeline.by_name("encoder").and_then(|encoder| encoder.static_pad("src"));
    let encoder = encoder.context("no encoder")?;
    let keyframe = move || {
        let wish = gst::Structure::builder("GstForceKeyUnit").field("all-headers", true).build();
        encoder.send_event(gst::event::CustomUpstream::new(wish));
    };
    let codec = match options.codec {
        Codec::Vp8 => str0m::format::Codec::Vp8,
        Codec::H264 => str0m::format::Codec::H264,
    };
    let endpoint = Endpoint::new(&options.endpoint, std::env::var("WHIP_TOKEN").ok())?;
    let uplink = Uplink::connect(&endpoint, codec, keyframe)?;
    for (name, kind) in [("audio", Kind::Audio), ("video", Kind::Video)] {
        let sink = pipeline.by_name(name).and_then(|sink| sink.downcast::<gst_app::AppSink>().ok());
        let intake = uplink.intake(kind);
        let taken = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if let Some(map) = sample.buffer().and_then(|buffer| buffer.map_readable().ok()) {
                intake(&map);
            }
            Ok(gst::FlowSuccess::Ok)
        };
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(taken).build();
        sink.with_context(|| format!("no sink for {name}"))?.set_callbacks(callbacks);
    }
    Ok(uplink)
}

fn tell_error(error: &anyhow::Error) {
    crate::tell(&json!({ "error": format!("{error:#}") }));
}

fn description(options: &Options) -> String {
    let Options { width, height, fps, bitrate, gop, .. } = options;
    let encoder = match options.codec {
        Codec::Vp8 => format!(
            "vp8enc name=encoder deadline=1 cpu-used=8 lag-in-frames=0 end-usage=cbr target-bitrate={} \
             keyframe-max-dist={gop} ! rtpvp8pay pt=96 mtu=1200 picture-id-mode=2 \
             ! application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000",
            bitrate * 1000
        ),
        // The profile that every browser decodes.
        Codec::H264 => format!(
            "x264enc name=encoder tune=zerolatency speed-preset=ultrafast bframes=0 bitrate={bitrate} key-int-max={gop} \
             ! video/x-h264,profile=constrained-baseline ! rtph264pay pt=108 mtu=1200 config-interval=-1 \
             aggregate-mode=zero-latency \
             ! application/x-rtp,media=video,encoding-name=H264,payload=108,clock-rate=90000"
        ),
    };
    format!(
        "videotestsrc name=picture is-live=true pattern={} \
         ! video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 ! {encoder} ! appsink name=video sync=false async=false \
         audiotestsrc is-live=true wave=ticks ! audio/x-raw,rate=48000,channels=2 ! opusenc frame-size=20 \
         ! rtpopuspay pt=111 ! application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000 \
         ! appsink name=audio sync=false async=false",
        pattern(options)
    )
}

/// The same picture, encoded the same way unless the profile is High, as an encoder sends it by RTMP.
fn rtmp_description(options: &Options) -> String {
    let Options { width, height, fps, bitrate, gop, .. } = options;
    // The fastest preset has nothing in it that is not baseline, whatever the profile.
    let (preset, profile) = if options.high { ("veryfast", "high") } else { ("ultrafast", "baseline") };
    format!(
        "videotestsrc name=picture is-live=true pattern={} \
         ! video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 \
         ! x264enc name=encoder tune=zerolatency speed-preset={preset} bframes=0 bitrate={bitrate} key-int-max={gop} \
         ! video/x-h264,profile={profile} ! h264parse ! queue ! mux. \
         audiotestsrc is-live=true wave=ticks ! audio/x-raw,rate=44100,channels=2 ! audioconvert ! avenc_aac \
         ! aacparse ! queue ! mux. flvmux name=mux streamable=true ! rtmp2sink name=sink sync=false",
        pattern(options)
    )
}

/// What is below what is painted.
fn pattern(options: &Options) -> &'static str {
    match options {
        Options { title: Some(_), .. } => "smpte75",
        Options { busy: true, .. } => "snow",
        _ => "ball",
    }
}

/// Each frame gets the time at which it was made.
fn paint_frames(pipeline: &gst::Pipeline, options: &Options) -> Result<()> {
    let (width, height, title) = (options.width, options.height, options.title.clone());
    let pad = pipeline.by_name("picture").and_then(|picture| picture.static_pad("src"));
    let pad = pad.context("no picture")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer_mut()
            && let Ok(mut map) = buffer.make_mut().map_writable()
        {
            if let Some(title) = &title {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                card::paint(&mut card::Picture { planes: &mut map, width, height }, title, now);
            }
            stamp::paint(&mut map, width, crate::now_ms());
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

#[derive(Default)]
struct Frames {
    all: AtomicU64,
    key: AtomicU64,
}

fn count_frames(pipeline: &gst::Pipeline) -> Result<Arc<Frames>> {
    let pad = pipeline.by_name("encoder").and_then(|encoder| encoder.static_pad("src"));
    let Some(pad) = pad else { bail!("no encoder") };
    let frames = Arc::new(Frames::default());
    let counted = frames.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            counted.all.fetch_add(1, Relaxed);
            counted.key.fetch_add(u64::from(!buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)), Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(frames)
}
