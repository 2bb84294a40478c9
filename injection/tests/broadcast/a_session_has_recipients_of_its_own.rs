use crate::common::{Receiver, Scene, until};

/// A session with recipients is sent to them and not to the children; the others are sent to the children only.
#[test]
fn test() {
    let scene = Scene::start("own");
    scene.create("s1");
    let wish = r#"{"sessionId":"s2","audioSsrc":3333,"videoSsrc":4444,
        "recipients":[{"host":"10.77.0.2","audioPort":6002,"videoPort":6004}]}"#;
    let (status, created) = scene.ask("POST", "/session/create", wish);
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["recipients"][0]["audioPort"], 6002);
    scene.child();
    let children = Receiver::start(scene.lab);
    let own = Receiver::on(scene.lab, [6002, 6004]);
    let _publishers = [scene.publisher("s1", "vp8"), scene.publisher("s2", "h264")];
    let enough = |receiver: &Receiver| receiver.count().iter().all(|count| *count > 20);
    until("media at both", || enough(&children) && enough(&own));
    for (receiver, ssrcs) in [(&children, [1111, 2222]), (&own, [3333, 4444])] {
        for (kind, ssrc) in ssrcs.into_iter().enumerate() {
            assert!(receiver.packets(kind).iter().all(|packet| packet.header.ssrc.0 == ssrc));
        }
    }
    // The end of one is nothing to the other.
    assert_eq!(scene.ask("DELETE", "/session/s1", "").0, 200);
    let [before, ended] = [own.count(), children.count()];
    until("media goes on", || (0..2).all(|kind| own.count()[kind] > before[kind] + 20));
    assert_eq!(children.count(), ended);
    crate::common::receiver::is_seamless(&own.packets(0));
    crate::common::receiver::is_seamless(&own.packets(1));
}
