//! [`join`]: a viewer all of GStreamer: `webrtcbin` with its libnice, DTLS and libsrtp, as whepsrc is one, too.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use gst_webrtc::{
    WebRTCICEGatheringState, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSDPType,
    WebRTCSessionDescription,
};
use str0m::format::Codec;

use crate::pictures::{self, Pictures};
use crate::viewer::Habits;
use crate::watcher::{Shared, locked};
use crate::wish::{Answer, Endpoint, Resource};

/// For an offer with all its candidates.
const PATIENCE: Duration = Duration::from_secs(10);

/// Offers, takes the answer, and shows what comes.
pub fn join(
    pipeline: &gst::Pipeline,
    endpoint: &Endpoint,
    habits: Habits,
    packets: &Shared,
    pictures: &Arc<Mutex<Pictures>>,
) -> Result<Resource> {
    let peer = gst::ElementFactory::make("webrtcbin").property_from_str("bundle-policy", "max-bundle");
    let peer = peer.build().context("webrtcbin")?;
    pipeline.add(&peer)?;
    for codecs in [&[Codec::Opus][..], &[Codec::Vp8, Codec::H264]] {
        let direction = WebRTCRTPTransceiverDirection::Recvonly;
        let caps = caps(habits, codecs)?;
        let transceiver = peer.emit_by_name::<WebRTCRTPTransceiver>("add-transceiver", &[&direction, &caps]);
        transceiver.set_property("do-nack", habits.repairs);
    }
    let (weak, seen, shown) = (pipeline.downgrade(), packets.clone(), pictures.clone());
    peer.connect_pad_added(move |_, pad| {
        let (weak, seen, shown) = (weak.clone(), seen.clone(), shown.clone());
        // Only its caps say what it is, and they come with the first packet.
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
            let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) else {
                return gst::PadProbeReturn::Ok;
            };
            if let Some(pipeline) = weak.upgrade()
                && let Err(error) = receive(&pipeline, pad, caps.caps(), habits, &seen, &shown)
            {
                locked(&shown).error = Some(format!("{error:#}"));
            }
            gst::PadProbeReturn::Remove
        });
    });
    let offer = offer(pipeline, &peer)?;
    locked(packets).offered = Some(Instant::now());
    match endpoint.offer(&offer, None)? {
        Answer::Created(answer, resource) => {
            let answer = gst_sdp::SDPMessage::parse_buffer(answer.as_bytes()).context("the answer")?;
            let answer = WebRTCSessionDescription::new(WebRTCSDPType::Answer, answer);
            peer.emit_by_name::<()>("set-remote-description", &[&answer, &None::<gst::Promise>]);
            Ok(resource)
        }
        Answer::Refused(status, why) => bail!("the offer is answered {status}: {why}"),
    }
}

fn caps(habits: Habits, codecs: &[Codec]) -> Result<gst::Caps> {
    let one = |codec: &Codec| {
        let (name, kind) = match codec {
            Codec::Opus => ("OPUS", "audio"),
            codec => (pictures::encoding(*codec)?, "video"),
        };
        let (payload_type, _) = habits.numbers.of(*codec);
        let clock = if kind == "audio" { 48_000 } else { 90_000 };
        let caps = gst::Structure::builder("application/x-rtp")
            .field("media", kind)
            .field("encoding-name", name)
            .field("payload", i32::from(payload_type))
            .field("clock-rate", clock);
        Ok(match codec {
            Codec::H264 => caps.field("packetization-mode", "1").field("profile-level-id", "42e01f").build(),
            _ => caps.build(),
        })
    };
    Ok(codecs.iter().map(one).collect::<Result<Vec<_>>>()?.into_iter().collect())
}

/// A description with all candidates in it.
fn offer(pipeline: &gst::Pipeline, peer: &gst::Element) -> Result<String> {
    let (made, offered) = sync_channel(1);
    peer.connect_notify(Some("ice-gathering-state"), move |peer, _| {
        let state = peer.property::<WebRTCICEGatheringState>("ice-gathering-state");
        if state == WebRTCICEGatheringState::Complete {
            let local = peer.property::<Option<WebRTCSessionDescription>>("local-description");
            // Nobody waits for a second one.
            let _ = made.try_send(local.and_then(|local| local.sdp().as_text().ok()));
        }
    });
    let (asked, ready) = sync_channel(1);
    peer.connect("on-negotiation-needed", false, move |_| {
        let _ = SyncSender::<()>::try_send(&asked, ());
        None
    });
    pipeline.set_state(gst::State::Playing).context("starting to view")?;
    ready.recv_timeout(PATIENCE).context("webrtcbin does not want to negotiate")?;
    let weak = peer.downgrade();
    let promise = gst::Promise::with_change_func(move |reply| {
        let offer =
            reply.ok().flatten().and_then(|reply| reply.get::<WebRTCSessionDescription>("offer").ok());
        if let (Some(offer), Some(peer)) = (offer, weak.upgrade()) {
            peer.emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
        }
    });
    peer.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
    offered.recv_timeout(PATIENCE).ok().flatten().context("webrtcbin makes no offer")
}

/// Counts what comes behind the jitter buffer, and shows it.
fn receive(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    caps: &gst::CapsRef,
    habits: Habits,
    packets: &Shared,
    pictures: &Arc<Mutex<Pictures>>,
) -> Result<()> {
    let encoding = caps.structure(0).and_then(|caps| caps.get::<String>("encoding-name").ok());
    let codec = match encoding.as_deref() {
        Some("VP8") => Some(Codec::Vp8),
        Some("H264") => Some(Codec::H264),
        Some(_) => None,
        None => bail!("a stream of no known encoding: {caps}"),
    };
    let noted = packets.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(map) = info.buffer().and_then(|buffer| buffer.map_readable().ok()) {
            let mut seen = locked(&noted);
            let now = crate::socket::now();
            if codec.is_some() { &mut seen.video } else { &mut seen.audio }.count(&map, now);
        }
        gst::PadProbeReturn::Ok
    });
    let elements = match codec {
        Some(codec) => pictures::elements(codec, habits.decode, pictures)?.to_vec(),
        None => {
            let sink = gst::ElementFactory::make("fakesink").property("sync", false).property("async", false);
            vec![sink.build()?]
        }
    };
    pipeline.add_many(&elements)?;
    gst::Element::link_many(&elements)?;
    for element in &elements {
        element.sync_state_with_parent()?;
    }
    pad.link(&elements[0].static_pad("sink").context("no sink pad")?)?;
    Ok(())
}
