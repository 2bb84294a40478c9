//! webrtcbin's offer, once it knows its media and has all its candidates.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gst::prelude::*;
use gst_webrtc::{
    WebRTCICEGatheringState, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSessionDescription,
};
use tokio::sync::oneshot;

type Offering = Arc<Mutex<Option<oneshot::Sender<Result<String, String>>>>>;

/// Has the peer make its offer when it knows its media. Nothing here holds on to the peer.
pub fn offer_of(peer: &gst::Element) -> oneshot::Receiver<Result<String, String>> {
    let (ready, offered) = oneshot::channel();
    let ready: Offering = Arc::new(Mutex::new(Some(ready)));
    let gathered = ready.clone();
    peer.connect_notify(Some("ice-gathering-state"), move |peer, _| {
        let state = peer.property::<WebRTCICEGatheringState>("ice-gathering-state");
        if state == WebRTCICEGatheringState::Complete {
            let local = peer.property::<Option<WebRTCSessionDescription>>("local-description");
            let text = local.and_then(|local| local.sdp().as_text().ok());
            say(&gathered, text.ok_or_else(|| "webrtcbin has no offer".to_owned()));
        }
    });
    let begun = AtomicBool::new(false);
    peer.connect("on-negotiation-needed", false, move |values| {
        let peer = values.first()?.get::<gst::Element>().ok()?;
        if !begun.swap(true, Ordering::Relaxed) {
            make_offer(&peer, ready.clone());
        }
        None
    });
    offered
}

fn make_offer(peer: &gst::Element, ready: Offering) {
    // We send and do not receive.
    for n in 0_i32.. {
        let Some(transceiver) = peer.emit_by_name::<Option<WebRTCRTPTransceiver>>("get-transceiver", &[&n])
        else {
            break;
        };
        transceiver.set_direction(WebRTCRTPTransceiverDirection::Sendonly);
    }
    let weak = peer.downgrade();
    let promise = gst::Promise::with_change_func(move |reply| {
        let offer =
            reply.ok().flatten().and_then(|reply| reply.get::<WebRTCSessionDescription>("offer").ok());
        match (offer, weak.upgrade()) {
            (Some(offer), Some(peer)) => {
                peer.emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
            }
            _ => say(&ready, Err("webrtcbin makes no offer".to_owned())),
        }
    });
    peer.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
}

fn say(ready: &Offering, offer: Result<String, String>) {
    if let Some(ready) = ready.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = ready.send(offer);
    }
}
