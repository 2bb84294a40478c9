//! injection-1 → relay-1 → relay-2 → egress-1: viewers behind both relays lose nothing, and what they ask for goes all the way
//! up: a picture comes at once, although the publisher makes a keyframe by itself only every 100 s.

use std::time::Duration;

use lab::client::first_frames;
use lab::relay::Mode;
use lab::studio::VIEWERS;
use lab::{Lab, Studio};

const VIDEO_SSRC: u32 = 8888;
const WATCHING: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);
/// At 30 frames a second.
const GOP: &str = "3000";
/// From a viewer's offer to its first decoded picture; it is half a second as a rule, and a keyframe of the publisher's own
/// would be many times as long in coming.
const SOON_MS: f64 = 3000.0;

fn through_both(mode: Mode) {
    let lab = Lab::new(&format!("t-two-{mode}-")).unwrap();
    let studio = Studio::open(&lab, mode, 1, 1).unwrap();
    let second = studio.extend(0, mode).unwrap();
    studio.create_session("show", [7777, VIDEO_SSRC]).unwrap();
    let publisher = studio.publish("show", &["--gop", GOP]).unwrap();
    studio.wait_active(0, "show").unwrap();
    let watching = studio.view("show", &[0], WATCHING, &[]).unwrap();
    let seen_by_all = |frames: u64| {
        let enough = watching.wait_until(PATIENCE, |views| {
            views.viewers.len() == WATCHING
                && views.viewers.iter().all(|seen| seen.decoded > 0 && seen.frames >= frames)
        });
        enough.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()))
    };
    seen_by_all(60);

    // Those who join now have nobody's keyframe but the one they ask for.
    let before = publisher.report().keyframes;
    let firsts = first_frames(&lab, VIEWERS, &studio.whep(0, "show").unwrap(), 3).unwrap();
    for seen in &firsts {
        let took = seen.offer_to_frame_ms.unwrap_or_else(|| panic!("{seen:?}{}", studio.diagnosis()));
        println!("{mode}: first picture {took:.0} ms after the offer");
        assert!(took < SOON_MS, "{seen:?}{}", studio.diagnosis());
    }
    let asked_for = publisher.report().keyframes - before;
    assert!(asked_for >= 1, "no request reached the publisher{}", studio.diagnosis());

    let frames = watching.report().viewers.iter().map(|seen| seen.frames).max().unwrap_or(0);
    for seen in &seen_by_all(frames + 90).viewers {
        assert_eq!(seen.error, None, "{seen:?}");
        assert_eq!((seen.video_lost, seen.audio_lost), (0, 0), "{seen:?}{}", studio.diagnosis());
    }
    // Both relays say that it goes through them.
    for relay in [&studio.relay, &second] {
        let streams = relay.cli().json("streams").unwrap();
        let video =
            streams["streams"].list().iter().any(|stream| stream["ssrc"].number() == u64::from(VIDEO_SSRC));
        assert!(video, "{streams:?}");
    }
    watching.stop().unwrap();
    publisher.stop().unwrap();
}

#[test]
fn in_xdp_mode() {
    through_both(Mode::Xdp);
}

#[test]
fn in_tc_mode() {
    through_both(Mode::Tc);
}
