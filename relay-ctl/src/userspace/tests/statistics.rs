use relay_common::layout::MAX_STREAMS;

use super::*;

#[test]
fn a_stream_is_known_by_port_and_ssrc_with_its_sender_loss_and_rtcp() {
    let (relay, ports) = relay(&[]);
    let [node, sender] = [V4; 2].map(Node::new);
    relay.publish(everyone(&[&node]));
    for sequence in [1, 2, 4, 4] {
        sender.rtp(VIDEO).send_to(&rtp(3, sequence), (V4, ports[VIDEO])).unwrap();
    }
    sender.rtp(VIDEO).send_to(&rtcp(3), (V4, ports[VIDEO])).unwrap();
    // What has come is not forwarded again.
    for _ in 0..4 {
        receive(node.rtp(VIDEO));
    }
    sender.rtcp(VIDEO).send_to(&rtcp(3), (V4, ports[VIDEO] + 1)).unwrap();
    receive(node.rtcp(VIDEO));
    let streams = relay.streams();
    assert_eq!(streams.len(), 1);
    let (found, stream) = streams[0];
    assert_eq!(found, key(ports[VIDEO], 3));
    assert_eq!((stream.packets, stream.bytes, stream.rtcp_packets), (3, 600, 2));
    assert_eq!((stream.lost(), stream.duplicates, drops(&relay, Reason::Duplicate)), (1, 1, 1));
    assert!(node.is_silent());
    assert_eq!(stream.source, Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets());
    assert_eq!(stream.source_port, sender.ports[VIDEO]);
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    let age = Duration::from(now).as_nanos() as u64 - stream.last_seen;
    assert!(age < 5_000_000_000, "CLOCK_MONOTONIC: {age} ns ago");
    relay.forget(&[found, found]);
    assert!(relay.streams().is_empty());
}

#[test]
fn streams_beyond_the_table_are_forwarded_without_statistics() {
    let (relay, ports) = relay(&[V4]);
    let [node, sender] = [V4; 2].map(Node::new);
    relay.publish(everyone(&[&node]));
    let send = |ssrc: u32| {
        let kind = ssrc as usize % 2;
        sender.rtp(kind).send_to(&rtp(ssrc, 1), (V4, ports[kind])).unwrap();
        assert_eq!(receive(node.rtp(kind)).0, rtp(ssrc, 1));
    };
    // Audio and video in turn: the limit is that of both together.
    for ssrc in 0..MAX_STREAMS + 10 {
        send(ssrc);
    }
    assert_eq!(relay.streams().len(), MAX_STREAMS as usize);
    assert_eq!(drops(&relay, Reason::StreamTableFull), 10);
    relay.forget(&[key(ports[AUDIO], 0)]);
    send(MAX_STREAMS + 10);
    assert_eq!(relay.streams().len(), MAX_STREAMS as usize);
    assert_eq!(drops(&relay, Reason::StreamTableFull), 10);
}
