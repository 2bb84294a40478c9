use super::super::Heard;
use super::*;

#[test]
fn rtcp_goes_to_the_port_of_the_same_kind_as_it_came_to() {
    let (relay, ports) = relay(&[V4]);
    let [node, sender] = [V4, ELSEWHERE].map(Node::new);
    relay.publish(everyone(&[&node]));
    for kind in [AUDIO, VIDEO] {
        let [rtp_port, rtcp_port] = [ports[kind], ports[kind] + 1];
        sender.rtp(kind).send_to(&rtcp(5), (V4, rtp_port)).unwrap();
        assert_eq!(receive(node.rtp(kind)), (rtcp(5), (V4, rtp_port).into()), "multiplexed, RFC 5761");
        sender.rtcp(kind).send_to(&rtcp(6), (V4, rtcp_port)).unwrap();
        assert_eq!(receive(node.rtcp(kind)), (rtcp(6), (V4, rtcp_port).into()));
    }
    assert!(node.is_silent());
}

/// Receiver report, transport and payload feedback, extended report.
const FEEDBACK: [u8; 4] = [201, 205, 206, 207];

#[test]
fn feedback_goes_to_no_child_whoever_sends_it() {
    // Dual stack: the source of an IPv4 child is IPv4-mapped.
    let (relay, ports) = relay(&[]);
    let [a, b, stranger] = [V4, V4, ELSEWHERE].map(Node::new);
    relay.publish(everyone(&[&a, &b]));
    let mut heard = relay.feedback().unwrap();
    for kind in FEEDBACK {
        for (port, multiplexed) in [(ports[VIDEO], true), (ports[VIDEO] + 1, false)] {
            // From a child by any of its ports.
            for (number, from) in [(0, b.rtp(AUDIO)), (1, b.rtcp(VIDEO)), (2, stranger.rtcp(VIDEO))] {
                let packet = rtcp_of(kind, number);
                from.send_to(&packet, (V4, port)).unwrap();
                if number < 2 {
                    let from_port = from.local_addr().unwrap().port();
                    let expected = Heard { port: ports[VIDEO], multiplexed, from: V4, from_port, packet };
                    assert_eq!(heard.blocking_recv().unwrap(), expected);
                }
            }
        }
    }
    soon("a child's", || drops(&relay, Reason::RtcpFromChild) == 16);
    soon("a stranger's", || drops(&relay, Reason::RtcpFeedback) == 8);
    assert!(heard.try_recv().is_err(), "a stranger's goes nowhere");
    assert!(a.is_silent() && b.is_silent());
}

#[test]
fn a_childs_rtcp_is_for_the_children_only_where_the_child_is_the_sender() {
    for address in [V4, V6] {
        let (relay, ports) = relay(&[]);
        let [a, b] = [address; 2].map(Node::new);
        relay.publish(everyone(&[&a, &b]));
        a.rtcp(VIDEO).send_to(&rtcp(1), (address, ports[VIDEO] + 1)).unwrap();
        soon("counted", || drops(&relay, Reason::RtcpFromChild) == 1);
        a.rtp(VIDEO).send_to(&rtp(1, 1), (address, ports[VIDEO])).unwrap();
        assert_eq!(receive(b.rtp(VIDEO)).0, rtp(1, 1));
        a.rtcp(VIDEO).send_to(&rtcp(1), (address, ports[VIDEO] + 1)).unwrap();
        assert_eq!(receive(b.rtcp(VIDEO)).0, rtcp(1));
    }
}

#[test]
fn what_is_not_media_is_counted_and_dropped() {
    let (relay, ports) = relay(&[V4]);
    let [node, sender] = [V4; 2].map(Node::new);
    relay.publish(everyone(&[&node]));
    let send = |packet: &[u8], port: u16| sender.rtp(AUDIO).send_to(packet, (V4, port)).unwrap();
    send(&[0; 20], ports[AUDIO]);
    send(&rtp(1, 1), ports[AUDIO] + 1);
    send(&rtp(1, 1)[..11], ports[AUDIO]);
    send(&[], ports[AUDIO]);
    soon("STUN, and RTP on the RTCP port", || drops(&relay, Reason::NotRtp) == 2);
    soon("short ones", || drops(&relay, Reason::RtpRunt) == 2);
    assert!(node.is_silent() && relay.streams().is_empty());
}

#[test]
fn a_child_that_sends_media_does_not_get_it_back() {
    for address in [V4, V6] {
        let (relay, ports) = relay(&[]);
        let [a, b] = [address; 2].map(Node::new);
        relay.publish(everyone(&[&a, &b]));
        a.rtp(AUDIO).send_to(&rtp(1, 1), (address, ports[AUDIO])).unwrap();
        assert_eq!(receive(b.rtp(AUDIO)).0, rtp(1, 1));
        soon("counted", || drops(&relay, Reason::ChildIsSender) == 1);
        assert_eq!(child(&relay, 0), ChildStats { packets: 0, bytes: 0, errors: 1, too_big: 0 });
        // The same host from another port is somebody else.
        Node::new(address).rtp(AUDIO).send_to(&rtp(1, 2), (address, ports[AUDIO])).unwrap();
        assert_eq!(receive(a.rtp(AUDIO)).0, rtp(1, 2));
    }
}
