use std::process::Command;
use std::time::Duration;

use crate::common::{Receiver, Scene, rtmp, until_within};

/// GStreamer's client is stricter than ffmpeg: it waits for each answer on the stream that it belongs to.
#[test]
fn test() {
    let scene = Scene::with("rtmp-gst", &[rtmp::PORT]);
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let mut encoder = Command::new("gst-launch-1.0");
    encoder.args(["-q", "flvmux", "name=mux", "streamable=true", "!", "rtmp2sink"]);
    encoder.arg("location=rtmp://10.77.0.1:1935/live/s1");
    encoder.args(["videotestsrc", "is-live=true", "!", "x264enc", "tune=zerolatency", "key-int-max=50"]);
    encoder.args(["!", "video/x-h264,profile=baseline", "!", "queue", "!", "mux."]);
    encoder.args([
        "audiotestsrc",
        "is-live=true",
        "!",
        "audioconvert",
        "!",
        "avenc_aac",
        "!",
        "queue",
        "!",
        "mux.",
    ]);
    let encoder = scene.lab.spawn("far", encoder).unwrap();
    // The first gst-launch on a machine looks through all plugins.
    until_within(Duration::from_secs(60), "media", || {
        assert_eq!(encoder.status().unwrap(), None, "{}", encoder.log());
        receiver.count().iter().all(|packets| *packets > 100)
    });
    assert_eq!(scene.session("s1")["publisher"]["via"], "rtmp");
}
