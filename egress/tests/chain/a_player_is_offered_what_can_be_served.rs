//! A player whose offer Janus cannot serve gets a counter-offer that it can (draft-ietf-wish-whep-03 section 4.2.2), with all
//! that a place has: it can be answered, asked for, left, and is given up if nobody answers.

use crate::bad_requests_are_refused_and_leave_nothing::{offer, resource};
use crate::common::{World, lab};

const ENDPOINT: &str = "/whep/endpoint/s1";
const SDP: (&str, &str) = ("Content-Type", "application/sdp");

/// What a browser says to Janus' offer.
const ANSWER: &str = "v=0\r\no=- 4 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a v\r\n";

#[test]
fn a_player_is_offered_what_can_be_served() {
    let lab = lab();
    let world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    world.until("s1", || world.egress.log().contains("session s1: mountpoint"));
    let pending = || world.get("/status")["viewers"]["connecting"].as_u64().unwrap();

    // Other numbers, as Firefox and GStreamer have them; a codec that it has not got; a transport for each medium.
    let table = [
        (offer("120 VP8/90000"), "payload type 120"),
        (offer("101 VP8/90000").replace("111", "97"), "payload type 97"),
        (offer("96 H265/90000"), "no vp8 for video"),
        (offer("96 VP8/90000").replace("a=group:BUNDLE 0 1\r\n", ""), "a=group:BUNDLE"),
        (offer("96 VP8/90000").replace("a=rtcp-mux\r\n", ""), "a=rtcp-mux"),
    ];
    for (offer, why) in table {
        let (status, head, body) = world.request("POST", ENDPOINT, &[SDP], &offer);
        let counter = body.as_str().unwrap_or_default();
        assert_eq!(status, 406, "{head} {body}");
        for wanted in [
            "content-type: application/sdp; valid-until=\"",
            "location: ",
            "etag: \"",
            "link: <",
            "rel=\"urn:ietf:params:whep:ext:core:server-sent-events\"",
            "access-control-allow-origin: *",
        ] {
            assert!(head.contains(wanted), "{wanted}: {head}");
        }
        for wanted in ["a=rtpmap:96 VP8/90000", "a=rtpmap:111 opus/48000/2", "a=sendonly", "stereo=1", why] {
            assert!(counter.contains(wanted), "{wanted}: {counter}");
        }
        let viewer = resource(&head);
        for method in ["GET", "HEAD"] {
            assert_eq!(world.request(method, &viewer, &[], "").0, 204, "{method}");
        }
        assert_eq!(world.request("PATCH", &viewer, &[SDP], "garbage").0, 400);
        let answer = offer.replace(offer.split("m=").next().unwrap(), ANSWER);
        let answer =
            answer.replace("a=mid:0", "a=mid:a").replace("a=mid:1", "a=mid:v").replace("actpass", "active");
        assert_eq!(world.request("PATCH", &viewer, &[SDP], &answer).0, 204, "{answer}");
        assert_eq!(world.request("PATCH", &viewer, &[SDP], &answer).0, 409, "it is answered once");
        assert_eq!(world.request("DELETE", &viewer, &[], "").0, 200);
        assert_eq!(world.request("HEAD", &viewer, &[], "").0, 404);
    }
    assert_eq!(pending(), 0);

    // Who knows no counter-offers tries again and again, and holds no place for long.
    for _ in 0..5 {
        assert_eq!(world.request("POST", ENDPOINT, &[SDP], &offer("120 VP8/90000")).0, 406);
    }
    assert_eq!(pending(), 5);
    let took = world.until("they are given up", || pending() == 0);
    println!("five counter-offers that nobody answered were given up after {took:?}");

    for (path, status) in [(ENDPOINT, 204), ("/whep/endpoint/nobody", 404)] {
        for method in ["GET", "HEAD"] {
            assert_eq!(world.request(method, path, &[], "").0, status, "{method} {path}");
        }
    }
}

/// A page without sound, and what a player says of the sound that it does not want.
#[test]
fn a_player_may_do_without_sound() {
    let lab = lab();
    let world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    world.until("s1", || world.egress.log().contains("session s1: mountpoint"));
    let both = offer("96 VP8/90000");
    let (head, video) = (both.split("m=").next().unwrap(), both.split("m=").nth(2).unwrap());
    let alone = format!("{}m={video}", head.replace("BUNDLE 0 1", "BUNDLE 1"));
    let silent = both.replacen("a=recvonly", "a=inactive", 1);
    let refused = both.replacen("m=audio 9", "m=audio 0", 1).replace("BUNDLE 0 1", "BUNDLE 1");
    for offer in [&alone, &alone.replace("a=group:BUNDLE 1\r\n", ""), &silent, &refused] {
        let (status, head, body) = world.request("POST", ENDPOINT, &[SDP], offer);
        let answer = body.as_str().unwrap_or_default();
        assert_eq!(status, 201, "{offer}\n{head}\n{body}");
        assert!(answer.contains("a=rtpmap:96 VP8/90000") && answer.contains("a=sendonly"), "{answer}");
        assert_eq!(answer.matches("m=").count(), offer.matches("m=").count());
        assert_eq!(world.request("DELETE", &resource(&head), &[], "").0, 200);
    }
}
