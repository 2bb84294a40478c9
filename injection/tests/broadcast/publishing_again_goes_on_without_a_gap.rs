use crate::common::receiver::is_seamless;
use crate::common::{Receiver, Scene, until};

/// Three publications, one of them with another codec: to a receiver they are one stream.
#[test]
fn test() {
    let scene = Scene::start("again");
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    for codec in ["vp8", "h264", "vp8"] {
        let before = receiver.count();
        let publisher = scene.publisher("s1", codec);
        until("media", || (0..2).all(|kind| receiver.count()[kind] > before[kind] + 40));
        publisher.terminate().unwrap();
        until("its place is free", || scene.session("s1")["publisher"].is_null());
    }
    let [audio, video] = [0, 1].map(|kind| receiver.packets(kind));
    is_seamless(&audio);
    is_seamless(&video);
    let mut types: Vec<u8> = video.iter().map(|packet| packet.header.payload_type).collect();
    types.dedup();
    assert_eq!(types, [96, 108, 96]);
    assert_eq!(scene.session("s1")["publications"], 3);
}
