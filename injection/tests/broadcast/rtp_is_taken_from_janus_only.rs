use std::net::UdpSocket;

use node::media::Ssrc;
use node::media::rtp::Header;

use crate::common::{Receiver, Scene, until};

/// A payload type that no publisher has.
const MARK: u8 = 35;
/// Packets to each port.
const SENT: u64 = 100;

/// Everybody can know a session's SSRCs. Whoever sends with them to where Janus sends is counted, and reaches nobody, also
/// from the very machine, and whether or not somebody publishes.
#[test]
fn test() {
    let scene = Scene::start("strangers");
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let ports = inlets(&scene);
    assert_eq!(ports.len(), 2, "one for audio, one for video: {ports:?}");
    let strangers =
        || [0, 1].map(|kind: usize| scene.session("s1")["streams"][kind]["strangers"].as_u64().unwrap());
    let send = || {
        let sender = scene.lab.in_namespace("node", || UdpSocket::bind(("127.0.0.1", 0)).unwrap()).unwrap();
        for sequence in 0..SENT as u16 {
            for (port, ssrc) in ports.iter().flat_map(|port| [1111, 2222].map(|ssrc| (port, ssrc))) {
                let header = Header { payload_type: MARK, sequence, timestamp: 1, ssrc: Ssrc(ssrc) };
                sender.send_to(&header.bytes(), ("127.0.0.1", *port)).unwrap();
            }
        }
    };
    send();
    until("they are counted", || strangers() == [2 * SENT; 2]);
    assert_eq!(receiver.count(), [0, 0], "nobody publishes");

    let _publisher = scene.publisher("s1", "vp8");
    until("media", || (0..2).all(|kind| receiver.count()[kind] > 40));
    send();
    until("they are counted", || strangers() == [4 * SENT; 2]);
    let before = receiver.count();
    until("media goes on", || (0..2).all(|kind| receiver.count()[kind] > before[kind] + 40));
    for kind in 0..2 {
        let packets = receiver.packets(kind);
        assert!(packets.iter().all(|packet| packet.header.payload_type != MARK));
        crate::common::receiver::is_seamless(&packets);
    }
}

/// The ports that the injection has on the loopback interface: those on which Janus sends.
fn inlets(scene: &Scene) -> Vec<u16> {
    let listed = scene.lab.run("node", &["ss", "-lunpH", "src", "127.0.0.1"]).unwrap();
    let own = format!("pid={},", scene.injection.pid());
    let ours = listed.lines().filter(|line| line.contains(&own));
    ours.filter_map(|line| line.split_ascii_whitespace().nth(3)?.rsplit_once(':')?.1.parse().ok()).collect()
}
