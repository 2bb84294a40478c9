use super::super::TapFilter;
use super::*;

#[test]
fn a_tap_sees_what_comes_in_and_each_copy_with_real_addresses() {
    let (relay, ports) = relay(&[]);
    let [a, b, sender] = [V4, V6, V4].map(Node::new);
    relay.publish(everyone(&[&a, &b]));
    let tap = relay.tap(TapFilter { ssrc: Some(2), port: Some(ports[AUDIO]) });
    for ssrc in [1, 2] {
        sender.rtp(AUDIO).send_to(&rtp(ssrc, 1), (V4, ports[AUDIO])).unwrap();
        receive(a.rtp(AUDIO));
    }
    let seen: Vec<_> =
        (0..3).map(|_| tap.recv_timeout(Duration::from_secs(5)).expect("a packet in time")).collect();
    let ways: Vec<_> = seen.iter().map(|seen| (seen.outgoing, seen.source, seen.destination)).collect();
    let at = |address: IpAddr, port: u16| SocketAddr::new(address, port);
    let port = ports[AUDIO];
    assert_eq!(
        ways,
        [
            (false, at(V4, sender.ports[AUDIO]), at(V4, port)),
            (true, at(V4, port), at(V4, a.ports[AUDIO])),
            (true, at(V6, port), at(V6, b.ports[AUDIO])),
        ]
    );
    assert!(seen.iter().all(|seen| seen.payload == rtp(2, 1)));
    assert!(seen.iter().all(|seen| seen.time.elapsed().unwrap() < Duration::from_secs(5)));
    assert!(tap.try_recv().is_err(), "SSRC 1 was not wanted");
    drop(tap);
    sender.rtp(AUDIO).send_to(&rtp(2, 2), (V4, port)).unwrap();
    soon("the end of the tap", || relay.shared.taps.none());
}

#[test]
fn a_tap_that_nobody_reads_costs_no_packet() {
    let (relay, ports) = relay(&[V4]);
    let [node, sender] = [V4; 2].map(Node::new);
    relay.publish(everyone(&[&node]));
    let tap = relay.tap(TapFilter::default());
    for sequence in 0..5000 {
        sender.rtp(AUDIO).send_to(&rtp(1, sequence), (V4, ports[AUDIO])).unwrap();
        assert_eq!(receive(node.rtp(AUDIO)).0, rtp(1, sequence));
    }
    relay.stop();
    assert_eq!(tap.iter().count(), 4096);
}
