//! `webrtcbin`: one viewer by GStreamer's own WebRTC, as its `whepsrc` uses it: in numbers that are no others' (Opus 96, VP8 101,
//! H264 103), without a word of H264's packetization mode or of NACKs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use gst::prelude::*;
use gst_webrtc::{
    WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSDPType, WebRTCSessionDescription,
};
use serde_json::json;

use crate::wish::{Answer, Endpoint, Resource};

/// Between two reports.
const EVERY: Duration = Duration::from_millis(200);
/// For GStreamer to describe itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// What it takes, in order.
const CAPS: [&str; 2] = [
    "application/x-rtp,media=audio,encoding-name=OPUS,payload=96,clock-rate=48000",
    "application/x-rtp,media=video,encoding-name=VP8,payload=101,clock-rate=90000; \
     application/x-rtp,media=video,encoding-name=H264,payload=103,clock-rate=90000",
];

#[derive(Args)]
pub struct Options {
    /// WHEP endpoint
    #[arg(long)]
    endpoint: String,
}

/// What was decoded: buffers of sound, pictures.
#[derive(Default)]
struct Decoded {
    sound: AtomicU64,
    pictures: AtomicU64,
}

/// Watches until SIGTERM, and says how much it has decoded.
pub fn run(options: &Options) -> Result<()> {
    let endpoint = Endpoint::new(&options.endpoint, std::env::var("WHEP_TOKEN").ok())?;
    let pipeline = gst::Pipeline::new();
    let peer = gst::ElementFactory::make("webrtcbin")
        .property_from_str("bundle-policy", "max-bundle")
        .build()
        .context("webrtcbin")?;
    pipeline.add(&peer)?;
    let decoded = Arc::new(Decoded::default());
    decode(&pipeline, &peer, decoded.clone());
    pipeline.set_state(gst::State::Playing).context("starting")?;
    let resource = join(&peer, &endpoint)?;
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let mut failure = None;
    while !crate::stopped() && failure.is_none() {
        let message = bus.timed_pop_filtered(
            gst::ClockTime::from_mseconds(EVERY.as_millis() as u64),
            &[gst::MessageType::Error],
        );
        if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|message| message.view()) {
            failure = Some(format!("{} {:?}", error.error(), error.debug()));
        }
        let (sound, pictures) = (decoded.sound.load(Relaxed), decoded.pictures.load(Relaxed));
        crate::tell(&json!({ "sound": sound, "pictures": pictures, "error": failure }));
    }
    resource.delete()?;
    pipeline.set_state(gst::State::Null).context("ending")?;
    Ok(())
}

/// Offers, with all candidates in it, and takes the answer.
fn join(peer: &gst::Element, endpoint: &Endpoint) -> Result<Resource> {
    for caps in CAPS {
        let caps: gst::Caps = caps.parse()?;
        let direction = WebRTCRTPTransceiverDirection::Recvonly;
        peer.emit_by_name::<WebRTCRTPTransceiver>("add-transceiver", &[&direction, &caps]);
    }
    let (gathered, told) = mpsc::channel();
    peer.connect_notify(Some("ice-gathering-state"), move |peer, _| {
        let state = peer.property::<gst_webrtc::WebRTCICEGatheringState>("ice-gathering-state");
        if state == gst_webrtc::WebRTCICEGatheringState::Complete {
            // It has been told already.
            let _ = gathered.send(());
        }
    });
    let (made, offer) = mpsc::channel();
    let promise = gst::Promise::with_change_func(move |reply| {
        let offer =
            reply.ok().flatten().and_then(|reply| reply.get::<WebRTCSessionDescription>("offer").ok());
        // Nobody waits any more.
        let _ = made.send(offer);
    });
    peer.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
    let offer = offer.recv_timeout(PATIENCE).ok().flatten().context("webrtcbin makes no offer")?;
    peer.emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
    told.recv_timeout(PATIENCE).context("webrtcbin finds no candidates")?;
    let offer = peer.property::<WebRTCSessionDescription>("local-description").sdp().as_text()?;
    let (answer, resource) = match endpoint.offer(&offer, None)? {
        Answer::Created(answer, resource) => (answer, resource),
        Answer::Refused(status, why) => bail!("the offer is answered {status}: {why}"),
    };
    let answer = gst_sdp::SDPMessage::parse_buffer(answer.as_bytes()).context("reading the answer")?;
    let answer = WebRTCSessionDescription::new(WebRTCSDPType::Answer, answer);
    peer.emit_by_name::<()>("set-remote-description", &[&answer, &None::<gst::Promise>]);
    Ok(resource)
}

/// Decodes and counts whatever comes.
fn decode(pipeline: &gst::Pipeline, peer: &gst::Element, decoded: Arc<Decoded>) {
    let pipeline = pipeline.downgrade();
    peer.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade().filter(|_| pad.direction() == gst::PadDirection::Src) else {
            return;
        };
        if let Err(error) = follow(&pipeline, pad, decoded.clone()) {
            gst::element_error!(pipeline, gst::StreamError::Failed, ("{error:#}"));
        }
    });
}

fn follow(pipeline: &gst::Pipeline, pad: &gst::Pad, decoded: Arc<Decoded>) -> Result<()> {
    let decoder = gst::ElementFactory::make("decodebin").build().context("decodebin")?;
    pipeline.add(&decoder)?;
    let inside = pipeline.downgrade();
    decoder.connect_pad_added(move |_, pad| {
        let Some(pipeline) = inside.upgrade() else { return };
        if let Err(error) = count(&pipeline, pad, decoded.clone()) {
            gst::element_error!(pipeline, gst::StreamError::Failed, ("{error:#}"));
        }
    });
    pad.link(&decoder.static_pad("sink").context("decodebin has a sink")?)?;
    decoder.sync_state_with_parent()?;
    Ok(())
}

fn count(pipeline: &gst::Pipeline, pad: &gst::Pad, decoded: Arc<Decoded>) -> Result<()> {
    let sink = gst::ElementFactory::make("fakesink").property("sync", false).build().context("fakesink")?;
    pipeline.add(&sink)?;
    let is_video = pad.current_caps().is_some_and(|caps| {
        caps.structure(0).is_some_and(|structure| structure.name().starts_with("video/"))
    });
    let inlet = sink.static_pad("sink").context("fakesink has a sink")?;
    inlet.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let counter = if is_video { &decoded.pictures } else { &decoded.sound };
        counter.fetch_add(1, Relaxed);
        gst::PadProbeReturn::Ok
    });
    pad.link(&inlet)?;
    sink.sync_state_with_parent()?;
    Ok(())
}
