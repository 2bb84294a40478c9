use std::time::{Duration, Instant};

use crate::common::receiver::is_seamless;
use crate::common::{Receiver, Scene, rtmp, until};

/// What ffmpeg sends by RTMP comes out as H264 and Opus. Baseline is passed on as it is; the High profile with B-frames is
/// encoded anew, and then a keyframe comes when somebody asks for one. One after the other it is one stream.
#[test]
fn test() {
    let scene = Scene::with("rtmp", &[rtmp::PORT]);
    assert_eq!(scene.status()["network"]["rtmp"], "rtmp://0.0.0.0:1935/live/");
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let keyframes = |since: Instant| {
        receiver.packets(1).iter().filter(|packet| packet.keyframe && packet.at > since).count()
    };
    for (options, via) in [(rtmp::BASELINE, "rtmp"), (rtmp::HIGH, "rtmp-encoded-anew")] {
        let (before, began) = (receiver.count(), Instant::now());
        let encoder = scene.encodes("s1", "s1", options);
        until("media", || (0..2).all(|kind| receiver.count()[kind] > before[kind] + 100));
        let publisher = scene.session("s1")["publisher"].clone();
        assert_eq!(
            (&publisher["via"], &publisher["codecs"]),
            (&via.into(), &["h264", "opus"].into()),
            "{publisher}"
        );
        for (kind, payload_type) in [(0, 111), (1, 108)] {
            let packets = receiver.packets(kind);
            assert!(packets[before[kind]..].iter().all(|packet| packet.header.payload_type == payload_type));
        }
        assert!(keyframes(began) > 0, "it begins with one");

        let asked = Instant::now();
        receiver.asks_for_keyframe(2222);
        std::thread::sleep(Duration::from_secs(1));
        if via == "rtmp-encoded-anew" {
            assert!(keyframes(asked) > 0, "asked for, and its encoder's own are 40 s apart");
        }
        encoder.terminate().unwrap();
        let took = until("its place is free", || scene.session("s1")["publisher"].is_null());
        assert!(took < Duration::from_secs(1), "it said that it ended: {took:?}");
    }
    for kind in 0..2 {
        is_seamless(&receiver.packets(kind));
    }
    assert_eq!(scene.session("s1")["streams"][1]["strangers"], 0);
    assert!(scene.rooms().iter().all(|(_, publishers)| *publishers == 0));
}
