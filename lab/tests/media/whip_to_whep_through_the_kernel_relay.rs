//! A publication by WHIP reaches many viewers by WHEP on both egresses through the relay in the kernel: the session's
//! SSRCs pass the relay, every viewer decodes, and nobody loses a packet.

use std::time::Duration;

use lab::relay::Mode;
use lab::{Lab, Studio};

const AUDIO_SSRC: u32 = 7777;
const VIDEO_SSRC: u32 = 8888;
const VIEWERS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);

fn reaches_everybody(mode: Mode, codec: &str) {
    let lab = Lab::new(&format!("t-whip-{mode}-{codec}-")).unwrap();
    let studio = Studio::open(&lab, mode, 2, 2).unwrap();
    studio.create_session("show", [AUDIO_SSRC, VIDEO_SSRC]).unwrap();
    let publisher = studio.publish("show", &["--codec", codec]).unwrap();
    for egress in 0..2 {
        let took = studio.wait_active(egress, "show");
        took.unwrap_or_else(|error| panic!("{error:#}\npublisher: {}", publisher.process().tail()));
    }
    let viewers = studio.view("show", &[0, 1], VIEWERS, &[]).unwrap();
    let views = viewers
        .wait_until(PATIENCE, |views| {
            views.viewers.len() == 2 * VIEWERS
                && views
                    .viewers
                    .iter()
                    .all(|seen| seen.decoded > 0 && seen.frames > 150 && seen.audio_packets > 200)
        })
        .unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    for seen in &views.viewers {
        assert_eq!(seen.error, None, "{seen:?}");
        assert_eq!((seen.video_lost, seen.audio_lost), (0, 0), "{seen:?}{}", studio.diagnosis());
    }
    // The relay's own account: these streams, in the kernel, and nothing refused.
    let streams = studio.relay.cli().json("streams").unwrap();
    let ssrcs: Vec<u64> = streams["streams"].list().iter().map(|stream| stream["ssrc"].number()).collect();
    for ssrc in [AUDIO_SSRC, VIDEO_SSRC] {
        assert!(ssrcs.contains(&u64::from(ssrc)), "{ssrc} is not among {ssrcs:?}");
    }
    let status = studio.relay.cli().json("status").unwrap();
    assert_eq!(status["dataplane"]["mode"].text(), mode.to_string());
    for (index, egress) in studio.egresses.iter().enumerate() {
        let mountpoint = egress.node.json("/mountpoint/show").unwrap();
        assert_eq!(
            mountpoint["audioSsrc"].number(),
            u64::from(AUDIO_SSRC),
            "egress-{}: {mountpoint:?}",
            index + 1
        );
        assert_eq!(
            mountpoint["videoSsrc"].number(),
            u64::from(VIDEO_SSRC),
            "egress-{}: {mountpoint:?}",
            index + 1
        );
    }
    let mut firsts: Vec<f64> = views.viewers.iter().filter_map(|seen| seen.first_frame_ms).collect();
    firsts.sort_by(f64::total_cmp);
    println!("{mode} {codec}: {} viewers, first frame after {firsts:.0?} ms", views.viewers.len());
    viewers.stop().unwrap();
    publisher.stop().unwrap();
}

#[test]
fn vp8_in_xdp_mode() {
    reaches_everybody(Mode::Xdp, "vp8");
}

#[test]
fn vp8_in_tc_mode() {
    reaches_everybody(Mode::Tc, "vp8");
}

#[test]
fn h264_in_xdp_mode() {
    reaches_everybody(Mode::Xdp, "h264");
}
