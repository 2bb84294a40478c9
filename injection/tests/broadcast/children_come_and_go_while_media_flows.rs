use std::time::{Duration, Instant};

use crate::common::receiver::is_seamless;
use crate::common::{Receiver, Scene, until};

/// SADD brings media, SREM ends it, and in between no packet is missing; the source ports are the node's own.
#[test]
fn test() {
    let scene = Scene::start("children");
    let created = scene.create("s1");
    assert_eq!(created["endpoint"], "/whip/endpoint/s1");
    assert_eq!(created["recipients"].as_array().unwrap().len(), 0);
    let publisher = scene.publisher("s1", "vp8");
    let receiver = Receiver::start(scene.lab);
    scene.redis.egress("egress-1", "10.77.0.2", [5002, 5004]).unwrap();
    for round in 1..=5 {
        let before = receiver.count();
        scene.redis.cli(&["SADD", "children:injection-1", "egress-1"]).unwrap();
        let took = until("media", || (0..2).all(|kind| receiver.count()[kind] > before[kind] + 5));
        eprintln!("round {round}: 5 packets of each {took:?} after SADD");
        scene.redis.cli(&["SREM", "children:injection-1", "egress-1"]).unwrap();
        until("the child is gone", || scene.status()["pipeline"]["childrenCount"] == 0);
        let ended = Instant::now() + Duration::from_millis(100);
        std::thread::sleep(Duration::from_millis(300));
        for kind in 0..2 {
            let packets = receiver.packets(kind);
            assert!(packets.iter().all(|packet| packet.at < ended), "media after the child was gone");
            is_seamless(&packets[before[kind]..]);
        }
    }
    let [audio, video] = [0, 1].map(|kind| receiver.packets(kind));
    assert!(
        audio.iter().all(
            |packet| (packet.header.ssrc.0, packet.header.payload_type, packet.from) == (1111, 111, 5002)
        )
    );
    assert!(
        video.iter().all(|packet| (packet.header.ssrc.0, packet.header.payload_type, packet.from) == (2222, 96, 5004))
    );
    let session = scene.session("s1");
    assert_eq!(session["streams"][0]["packets"], audio.len());
    assert_eq!(session["streams"][1]["packets"], video.len());
    assert_eq!(session["streams"][1]["strangers"], 0);
    // All that it was sent while it was a child, five times, is said when it is one again.
    publisher.kill9().unwrap();
    until("nothing comes any more", || scene.has_room_for_another("s1"));
    scene.child();
    let metrics = scene.ask_with("GET", "/metrics", &[], "").body;
    let child = format!(
        "media_tree_injection_child_packets_total{{child=\"egress-1\",node_id=\"injection-1\",tree_id=\"tree-1\"}} {}",
        audio.len() + video.len()
    );
    assert!(metrics.lines().any(|line| line == child), "{child} is not in\n{metrics}");
    let series = format!(
        "media_tree_injection_rtp_packets_sent_total{{node_id=\"injection-1\",session_id=\"s1\",ssrc=\"2222\",\
         stream_type=\"video\",tree_id=\"tree-1\"}} {}",
        video.len()
    );
    assert!(metrics.contains(&series), "{series} is not in\n{metrics}");
}
