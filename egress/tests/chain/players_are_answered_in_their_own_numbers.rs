//! Offers as players make them are answered by the native server in their own payload types (RFC 3264); what cannot be served is
//! countered, and who makes no offer gets one.

use serde_json::json;

use crate::bad_requests_are_refused_and_leave_nothing::{offer, resource};
use crate::common::{By, World, lab};

const ENDPOINT: &str = "/whep/endpoint/s1";
const SDP: (&str, &str) = ("Content-Type", "application/sdp");

#[test]
fn players_are_answered_in_their_own_numbers() {
    let lab = lab();
    let world = World::start_by(&lab, By::Native, &[]);
    world.session("s1", 4001, [7777, 8888]);
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let offers = [
        (include_str!("../../src/sdp/native/offers/chromium-156.sdp"), 111, 96),
        (include_str!("../../src/sdp/native/offers/firefox-153esr.sdp"), 109, 120),
        (include_str!("../../src/sdp/native/offers/gstreamer-whepsrc.sdp"), 96, 101),
        (include_str!("../../src/sdp/native/offers/safari-13.sdp"), 111, 100),
    ];
    for (offer, audio, video) in offers {
        let (status, head, answer) = world.request("POST", ENDPOINT, &[SDP], &offer.replace('\n', "\r\n"));
        let answer = answer.as_str().unwrap_or_default().to_lowercase();
        assert_eq!(status, 201, "{head} {answer}");
        for wanted in [
            format!("a=rtpmap:{audio} opus/48000"),
            format!("a=rtpmap:{video} vp8/90000"),
            "a=ice-lite\r\n".to_owned(),
            "a=sendonly\r\n".to_owned(),
            " 10.77.0.1 7075 typ host\r\n".to_owned(),
            " 10.77.0.1 7075 typ host tcptype passive\r\n".to_owned(),
        ] {
            assert!(answer.contains(&wanted), "{wanted}: {answer}");
        }
        assert_eq!(world.request("DELETE", &resource(&head), &[], "").0, 200);
    }

    let (status, head, counter) = world.request("POST", ENDPOINT, &[SDP], &offer("96 H265/90000"));
    assert_eq!((status, head.contains("valid-until=")), (406, true), "{head} {counter}");
    assert_eq!(world.request("DELETE", &resource(&head), &[], "").0, 200);

    let (status, head, ours) = world.request("POST", ENDPOINT, &[], "");
    assert_eq!(status, 201, "{head} {ours}");
    assert!(ours.as_str().unwrap_or_default().contains("a=setup:actpass\r\n"), "{ours}");
    let answer = offer("96 VP8/90000").replace("actpass", "active");
    assert_eq!(world.request("PATCH", &resource(&head), &[SDP], &answer).0, 204);
    assert_eq!(world.request("PATCH", &resource(&head), &[SDP], &answer).0, 409, "it is answered once");
    assert_eq!(world.request("DELETE", &resource(&head), &[], "").0, 200);
    assert_eq!(world.get("/status")["viewers"]["connecting"], json!(0));
}
