//! A small WHIP client: publishes a test picture and a tone until it is told to stop.
//!
//!     whip-publish http://HOST:7070/whip/endpoint/SESSION [vp8|h264] [TOKEN] [--apart]
//!
//! With `--apart` audio and video are no bundle: each has a connection of its own, as webrtcbin does unless told otherwise.
//!
//! Says `published …` when it has its answer and `connected` when media can flow. SIGTERM ends it with a DELETE; after
//! SIGKILL nobody is told, as with an encoder that loses its network.

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use gst::prelude::*;
use gst_webrtc::{
    WebRTCICEGatheringState, WebRTCPeerConnectionState, WebRTCSDPType, WebRTCSessionDescription,
};

const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match publish() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("whip-publish: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn publish() -> Result<()> {
    let apart = std::env::args().any(|argument| argument == "--apart");
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--apart");
    let url = arguments.next().context("whip-publish URL [vp8|h264] [TOKEN]")?;
    let video = match arguments.next().as_deref() {
        None | Some("vp8") => {
            "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=3000 target-bitrate=600000 ! rtpvp8pay pt=96 picture-id-mode=2"
        }
        Some("h264") => {
            "openh264enc gop-size=3000 bitrate=600000 ! video/x-h264,profile=constrained-baseline ! \
             rtph264pay pt=108 config-interval=-1 aggregate-mode=zero-latency"
        }
        Some(other) => bail!("codec {other}; there are vp8 and h264"),
    };
    let token = arguments.next();
    gst::init()?;
    let text = format!(
        "webrtcbin name=peer bundle-policy={} \
         videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=180,framerate=25/1 ! {video} ! queue ! peer. \
         audiotestsrc is-live=true volume=0.1 ! audioconvert ! audioresample ! opusenc frame-size=20 ! rtpopuspay pt=111 \
         ! queue ! peer.",
        if apart { "none" } else { "max-bundle" }
    );
    let pipeline = gst::parse::launch(&text)?.downcast::<gst::Pipeline>().ok().context("a pipeline")?;
    let peer = pipeline.by_name("peer").context("webrtcbin")?;

    let (ready, offered) = mpsc::channel();
    let described = ready.clone();
    peer.connect("on-negotiation-needed", false, move |values| {
        let peer = values[0].get::<gst::Element>().ok()?;
        describe(&peer, described.clone());
        None
    });
    pipeline.set_state(gst::State::Playing)?;
    let offer = offered.recv_timeout(PATIENCE).context("no offer came about")??;

    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let authorised = |request: ureq::http::request::Builder| match &token {
        Some(token) => request.header("Authorization", format!("Bearer {token}")),
        None => request,
    };
    let request = authorised(ureq::http::Request::post(&url)).header("Content-Type", "application/sdp");
    let mut answer = agent.run(request.body(offer)?)?;
    let body = answer.body_mut().read_to_string()?;
    ensure!(answer.status() == 201, "{}: {body}", answer.status());
    let location = answer.headers().get("Location").context("no Location")?.to_str()?.to_owned();
    println!("published {location}");

    let sdp = gst_sdp::SDPMessage::parse_buffer(body.as_bytes())?;
    let description = WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp);
    peer.emit_by_name::<()>("set-remote-description", &[&description, &None::<gst::Promise>]);
    peer.connect_notify(Some("connection-state"), |peer, _| {
        let state = peer.property::<WebRTCPeerConnectionState>("connection-state");
        println!("{state:?}");
        // The other side is gone for good.
        if [WebRTCPeerConnectionState::Failed, WebRTCPeerConnectionState::Closed].contains(&state) {
            std::process::exit(3);
        }
    });

    let (stop, stopped) = mpsc::channel();
    let stop_too = stop.clone();
    gst::glib::unix_signal_add(nix_sigterm(), move || {
        let _ = stop_too.send(Ok(()));
        gst::glib::ControlFlow::Break
    });
    let bus = pipeline.bus().context("a bus")?;
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            let _ = stop.send(Err(anyhow::anyhow!("{}", error.error())));
        }
        gst::BusSyncReply::Drop
    });
    // The default main context is what signals come by.
    let main = gst::glib::MainLoop::new(None, false);
    let running = main.clone();
    let ended = std::thread::spawn(move || {
        let ended = stopped.recv();
        running.quit();
        ended
    });
    main.run();
    let ended = ended.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
    let at = whole(&url, &location);
    let gone = agent.run(authorised(ureq::http::Request::delete(&at)).body(())?)?;
    println!("deleted {}", gone.status());
    pipeline.set_state(gst::State::Null)?;
    ended?
}

/// Makes the offer and waits for its candidates.
fn describe(peer: &gst::Element, done: mpsc::Sender<Result<String>>) {
    let waiting = done.clone();
    peer.connect_notify(Some("ice-gathering-state"), move |peer, _| {
        if peer.property::<WebRTCICEGatheringState>("ice-gathering-state")
            == WebRTCICEGatheringState::Complete
        {
            let local = peer.property::<Option<WebRTCSessionDescription>>("local-description");
            let text = local.context("no local description").and_then(|local| Ok(local.sdp().as_text()?));
            let _ = waiting.send(text);
        }
    });
    // All that webrtcbin sends is sent only.
    for n in 0.. {
        let Some(transceiver) =
            peer.emit_by_name::<Option<gst_webrtc::WebRTCRTPTransceiver>>("get-transceiver", &[&n])
        else {
            break;
        };
        transceiver.set_direction(gst_webrtc::WebRTCRTPTransceiverDirection::Sendonly);
    }
    let setting = peer.clone();
    let promise = gst::Promise::with_change_func(move |reply| {
        let offer =
            reply.ok().flatten().and_then(|reply| reply.get::<WebRTCSessionDescription>("offer").ok());
        match offer {
            Some(offer) => {
                setting.emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
            }
            None => {
                let _ = done.send(Err(anyhow::anyhow!("webrtcbin makes no offer")));
            }
        }
    });
    peer.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
}

/// A reference as seen from the URL that it came from, as far as servers send such (RFC 3986 section 5.2).
fn whole(url: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    match location.starts_with('/') {
        true => format!("{scheme}://{}{location}", rest.split('/').next().unwrap_or_default()),
        false => {
            format!("{scheme}://{}/{location}", rest.rsplit_once('/').map_or(rest, |(folder, _)| folder))
        }
    }
}

const fn nix_sigterm() -> i32 {
    15
}
