use crate::common::{Receiver, Scene, until};

/// Audio and video without BUNDLE have a connection each (RFC 8843 section 7.2): both come, as one publication.
#[test]
fn test() {
    let scene = Scene::start("apart");
    let room = scene.create("s1")["roomId"].as_u64().unwrap();
    scene.child();
    let receiver = Receiver::start(scene.lab);
    for codec in ["vp8", "h264"] {
        let before = receiver.count();
        let publisher = scene.publisher_with("s1", &[codec, "--apart"]);
        until("audio and video", || {
            assert_eq!(publisher.status().unwrap(), None, "{}", publisher.log());
            (0..2).all(|kind| receiver.count()[kind] > before[kind] + 50)
        });
        let publisher_view = scene.session("s1")["publisher"].clone();
        assert_eq!(publisher_view["codecs"].as_array().map(Vec::len), Some(2), "{publisher_view}");
        let asked = std::time::Instant::now();
        receiver.asks_for_keyframe(2222);
        // H264's is so small that it comes in one packet with its parameter sets.
        until("a keyframe", || {
            receiver
                .packets(1)
                .iter()
                .any(|packet| (packet.keyframe || packet.width.is_some()) && packet.at > asked)
        });
        publisher.terminate().unwrap();
        until("both are gone", || scene.rooms() == [(room, 0)]);
        assert!(scene.session("s1")["publisher"].is_null());
    }
    assert_eq!(scene.session("s1")["publications"], 2);
    for kind in 0..2 {
        crate::common::receiver::is_seamless(&receiver.packets(kind));
    }
}
