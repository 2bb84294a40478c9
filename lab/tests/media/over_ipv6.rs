//! Media between the nodes goes over IPv6 when that is what they are known by, and requests for keyframes come back the
//! same way.

use std::time::{Duration, Instant};

use lab::Lab;
use lab::relay::Mode;
use lab::studio::{MediaOver, Studio};

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

fn reaches_viewers(mode: Mode) {
    let lab = Lab::new(&format!("t-v6-{mode}-")).unwrap();
    let studio = Studio::open_over(&lab, MediaOver::V6, mode, 2, 2).unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    // No keyframe comes by itself in that time.
    let publisher = studio.publish("show", &["--gop", "3000"]).unwrap();
    for egress in 0..2 {
        studio.wait_active(egress, "show").unwrap_or_else(|error| panic!("{error:#}"));
    }
    // Active is who has audio; the first picture takes an encoder longer.
    let began = Instant::now();
    let sources = loop {
        let streams = studio.relay.cli().json("streams").unwrap();
        let sources: Vec<String> =
            streams["streams"].list().iter().map(|stream| stream["source"].text().to_owned()).collect();
        if sources.len() >= 2 || began.elapsed() > PATIENCE {
            break sources;
        }
        std::thread::sleep(POLL);
    };
    assert!(sources.len() == 2 && sources.iter().all(|source| source.contains("fd77:1::a")), "{sources:?}");
    let before = publisher.report().keyframes;
    let viewers = studio.view("show", &[0, 1], 2, &[]).unwrap();
    let views = viewers.wait_until(PATIENCE, |views| {
        views.viewers.len() == 4
            && views.viewers.iter().all(|seen| seen.frames > 60 && seen.audio_packets > 60)
    });
    let views = views.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    for seen in &views.viewers {
        assert!(seen.decoded > 0, "{seen:?}{}", studio.diagnosis());
        assert_eq!((seen.video_lost, seen.audio_lost), (0, 0), "{seen:?}{}", studio.diagnosis());
    }
    assert!(publisher.report().keyframes > before, "asked for up the tree{}", studio.diagnosis());
    viewers.stop().unwrap();
    publisher.stop().unwrap();
}

#[test]
fn in_xdp_mode() {
    reaches_viewers(Mode::Xdp);
}

#[test]
fn in_tc_mode() {
    reaches_viewers(Mode::Tc);
}

#[test]
fn in_userspace_mode() {
    reaches_viewers(Mode::Userspace);
}
