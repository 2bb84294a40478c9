use super::super::listen;
use super::*;

#[test]
fn a_child_that_the_kernel_refuses_does_not_stop_the_others() {
    let (relay, ports) = relay(&[V4]);
    let [first, last, sender] = [V4; 3].map(Node::new);
    let refused = Target { counter: 1, address: [255; 4].into(), ports: [9, 11] };
    let children = vec![first.target(0), refused, last.target(2)];
    relay.publish(Plan { children, all: vec![0, 1, 2], ..Plan::default() });
    for sequence in 0..200 {
        sender.rtp(AUDIO).send_to(&rtp(1, sequence), (V4, ports[AUDIO])).unwrap();
        if sequence % 20 == 19 {
            for expected in sequence - 19..=sequence {
                assert_eq!(receive(first.rtp(AUDIO)).0, rtp(1, expected));
                assert_eq!(receive(last.rtp(AUDIO)).0, rtp(1, expected));
            }
        }
    }
    soon("counted", || drops(&relay, Reason::EgressRefused) == 200);
    assert_eq!(child(&relay, 1).errors, 200);
    for counter in [0, 2] {
        soon("not counted", || {
            child(&relay, counter) == ChildStats { packets: 200, bytes: 40_000, errors: 0, too_big: 0 }
        });
    }
    relay.reset_child(1);
    assert_eq!(child(&relay, 1), ChildStats::default());
}

#[test]
fn a_child_that_answers_port_unreachable_harms_nobody() {
    for address in [V4, V6] {
        let (relay, ports) = relay(&[]);
        let [gone, here, sender] = [address; 3].map(Node::new);
        relay.publish(everyone(&[&gone, &here]));
        drop(gone);
        for sequence in 0..200 {
            sender.rtp(AUDIO).send_to(&rtp(1, sequence), (address, ports[AUDIO])).unwrap();
            assert_eq!(receive(here.rtp(AUDIO)).0, rtp(1, sequence));
        }
        soon("sent", || child(&relay, 0).packets == 200);
        assert_eq!(drops(&relay, Reason::EgressRefused), 0);
    }
}

#[test]
fn port_unreachable_leaves_no_error_on_the_socket() {
    for address in [V4, V6] {
        let gone = Node::new(address).ports[AUDIO];
        // Port 0: any free one.
        for (local, dual) in [(address, false), (Ipv6Addr::UNSPECIFIED.into(), true)] {
            let socket = listen::socket_at((local, 0).into(), dual).unwrap();
            let to = match address {
                IpAddr::V4(v4) if dual => IpAddr::V6(v4.to_ipv6_mapped()),
                _ => address,
            };
            for _ in 0..3 {
                socket.send_to(&rtp(1, 1), &SocketAddr::new(to, gone).into()).unwrap();
                assert!(socket.take_error().unwrap().is_none());
            }
        }
    }
}

#[test]
fn a_child_of_an_ip_version_without_a_socket_is_counted() {
    let (relay, ports) = relay(&[V4]);
    let [other, same, sender] = [V6, V4, V4].map(Node::new);
    relay.publish(everyone(&[&other, &same]));
    sender.rtp(AUDIO).send_to(&rtp(1, 1), (V4, ports[AUDIO])).unwrap();
    assert_eq!(receive(same.rtp(AUDIO)).0, rtp(1, 1));
    soon("counted", || drops(&relay, Reason::OtherFamily) == 1);
    assert_eq!(child(&relay, 0).errors, 1);
}

#[test]
fn what_nobody_reads_in_time_is_counted() {
    let [slow, sender] = [V4; 2].map(Node::new);
    let to = (V4, slow.ports[AUDIO]);
    for sequence in 0..20_000 {
        sender.rtp(AUDIO).send_to(&rtp(1, sequence), to).unwrap();
    }
    let lost = u64::from(node::udp::drops(slow.rtp(AUDIO)).unwrap());
    slow.rtp(AUDIO).set_nonblocking(true).unwrap();
    let read = (0..).take_while(|_| slow.rtp(AUDIO).recv(&mut [0; 1]).is_ok()).count() as u64;
    assert!(lost > 0 && lost + read == 20_000, "{lost} + {read}");
}
