use std::process::Command;
use std::time::Duration;

use crate::common::handmade::{DATA, Encoder, Tag, again, recording};
use crate::common::{Scene, rtmp, until_within};

/// A busy machine takes some seconds for a publication, and the first gst-launch on one looks through all plugins.
const LATE: Duration = Duration::from_secs(60);

/// Case A3 of the field as a viewer's decoder has it: another size in the middle, passed on, encoded anew, or from one to the other.
#[test]
fn test() {
    let scene = Scene::with("rtmp-size", &[rtmp::PORT]);
    scene.child();
    let baseline: &[&str] = &["-profile:v", "baseline"];
    let high: &[&str] = &["-profile:v", "high", "-preset", "veryfast", "-bf", "2"];
    for (name, before, after) in
        [("passed-on", baseline, baseline), ("anew", high, high), ("both", baseline, high)]
    {
        scene.ask("POST", "/session/create", &format!(r#"{{"sessionId":"{name}"}}"#));
        let viewer = scene.lab.spawn("far", viewer()).unwrap();
        let larger = [after, &["size=480x270"]].concat();
        let encoder =
            Encoder::start(scene.lab, name, then(&recording(4, before, &[]), &recording(2, &larger, &[])));
        until_within(LATE, &format!("{name}: the larger picture is decoded"), || {
            encoder.goes_on();
            assert_eq!(viewer.status().unwrap(), None, "{}", viewer.log());
            let log = viewer.log();
            let larger = log
                .rfind("shown.GstPad:sink: caps = video/x-raw")
                .filter(|at| log[*at..].contains("width=(int)480"));
            larger.is_some_and(|at| log[at..].matches("chain").count() > 25)
        });
        assert!(viewer.log().contains("width=(int)320"), "{name}: the smaller was before it");
    }
}

/// One recording once, and then the other again and again.
fn then(first: &[Tag], second: &[Tag]) -> Vec<Tag> {
    let from = first.iter().map(|tag| tag.timestamp).max().unwrap() + 40;
    let second = again(second, 60).into_iter().filter(|tag| tag.kind != DATA);
    first.iter().cloned().chain(second.map(|tag| Tag { timestamp: tag.timestamp + from, ..tag })).collect()
}

/// Says what it shows: its size, and each picture.
fn viewer() -> Command {
    let mut launch = Command::new("gst-launch-1.0");
    launch.args(["-v", "udpsrc", "port=5004", "buffer-size=4000000"]);
    launch.arg("caps=application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=108");
    launch.args(["!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!"]);
    launch.args(["fakesink", "name=shown", "sync=false", "silent=false"]);
    launch
}
