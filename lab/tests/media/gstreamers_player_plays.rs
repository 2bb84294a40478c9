//! A player that is GStreamer's from ICE to the picture (`webrtcbin`, as in whepsrc) sees a broadcast with sound: from Janus in the
//! tree's payload types, from the native server in those that whepsrc has by default.

use std::time::Duration;

use lab::relay::Mode;
use lab::studio::MediaOver;
use lab::{Lab, Studio};

const PATIENCE: Duration = Duration::from_secs(30);

fn plays(server: &str, codec: &str, numbers: &str) {
    let lab = Lab::new(&format!("t-gst-{server}-{codec}-")).unwrap();
    let studio = Studio::open_with(&lab, MediaOver::V4, Mode::Tc, [1, 1], &[("SERVER", server)]).unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    let publisher = studio.publish("show", &["--codec", codec]).unwrap();
    let active = studio.wait_active(0, "show");
    active.unwrap_or_else(|error| panic!("{error:#}{}", publisher.process().tail()));
    let viewers = studio
        .view("show", &[0], 2, &["--stack", "gstreamer", "--numbers", numbers, "--decode", "all"])
        .unwrap();
    let views = viewers.wait_until(PATIENCE, |views| {
        views.viewers.len() == 2
            && views.viewers.iter().all(|seen| seen.decoded > 60 && seen.audio_packets > 60)
    });
    let views = views.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    for seen in &views.viewers {
        assert_eq!((seen.video_lost, seen.audio_lost), (0, 0), "{seen:?}");
    }
    viewers.stop().unwrap();
    publisher.stop().unwrap();
}

#[test]
fn from_janus() {
    plays("janus", "vp8", "tree");
}

#[test]
fn from_the_native_server() {
    plays("native", "vp8", "gstreamer");
}

#[test]
fn h264_from_the_native_server() {
    plays("native", "h264", "gstreamer");
}
