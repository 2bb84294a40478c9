use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use node::media::Ssrc;

use crate::common::handmade::{DATA, Encoder, Tag, again, recording};
use crate::common::{Scene, rtmp, until_within};

/// A busy machine takes some seconds for a publication, and the first gst-launch on one looks through all plugins.
const LATE: Duration = Duration::from_secs(60);

const BASELINE: &[&str] = &["-profile:v", "baseline"];
const HIGH: &[&str] = &["-profile:v", "high", "-preset", "veryfast", "-bf", "2"];

#[test]
fn passed_on() {
    decoded("rtmp-size-p", BASELINE, BASELINE);
}

#[test]
fn encoded_anew() {
    decoded("rtmp-size-a", HIGH, HIGH);
}

#[test]
fn from_one_to_the_other() {
    decoded("rtmp-size-b", BASELINE, HIGH);
}

/// Case A3 of the field as a viewer's decoder has it: another size in the middle, passed on, encoded anew, or from one to the other.
fn decoded(name: &str, before: &[&str], after: &[&str]) {
    let scene = Scene::with(name, &[rtmp::PORT]);
    scene.child();
    let receiver = scene.lab.in_namespace("far", || UdpSocket::bind(("0.0.0.0", 0)).unwrap()).unwrap();
    let (_, session) = scene.ask("POST", "/session/create", r#"{"sessionId":"s1"}"#);
    let ssrc = Ssrc(session["videoSsrc"].as_u64().and_then(|ssrc| ssrc.try_into().ok()).unwrap());
    let viewer = scene.lab.spawn("far", viewer()).unwrap();
    let larger = [after, &["size=480x270"]].concat();
    let encoder =
        Encoder::start(scene.lab, "s1", then(&recording(4, before, &[]), &recording(2, &larger, &[])));
    until_within(LATE, "the larger picture is decoded", || {
        encoder.goes_on();
        // As egresses do for viewers who have missed one.
        let request = node::keyframe::request(Ssrc(1), ssrc);
        receiver.send_to(&request, ("10.77.0.1", 5005)).unwrap();
        assert_eq!(viewer.status().unwrap(), None, "{}", viewer.log());
        let log = viewer.log();
        let larger = log
            .rfind("shown.GstPad:sink: caps = video/x-raw")
            .filter(|at| log[*at..].contains("width=(int)480"));
        larger.is_some_and(|at| log[at..].matches("chain").count() > 25)
    });
    assert!(viewer.log().contains("width=(int)320"), "the smaller was before it");
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
