use std::os::fd::AsFd;

use nix::libc;

use super::super::socket::{self, Inbox};
use super::*;

/// Sends 300 packets from `sender`; each child must get each of them, once, in order, from the port they were sent to.
fn exact(relay: &Userspace, to: SocketAddr, kind: usize, sender: &UdpSocket, children: &[&Node]) {
    relay.publish(everyone(children));
    for sequence in 0..300 {
        sender.send_to(&rtp(7, sequence), to).unwrap();
        for node in children {
            let (packet, from) = receive(node.rtp(kind));
            assert_eq!(packet, rtp(7, sequence));
            assert_eq!(
                from,
                SocketAddr::new(node.address, to.port()),
                "symmetric, and of the child's family"
            );
        }
    }
    for (node, counter) in children.iter().zip(0..) {
        let expected = ChildStats { packets: 300, bytes: 60_000, errors: 0, too_big: 0 };
        soon("exact child counters", || child(relay, counter) == expected);
        assert!(node.is_silent());
    }
    assert!(relay.drops().iter().all(|(_, count)| *count == 0), "{:?}", relay.drops());
}

#[test]
fn three_children_get_each_packet_once_in_order_and_unchanged() {
    let (relay, ports) = relay(&[V4]);
    let [a, b, c] = [V4; 3].map(Node::new);
    exact(&relay, (V4, ports[AUDIO]).into(), AUDIO, Node::new(V4).rtp(AUDIO), &[&a, &b, &c]);
}

#[test]
fn the_same_over_ipv6_and_for_video() {
    let (relay, ports) = relay(&[V6]);
    let [a, b, c] = [V6; 3].map(Node::new);
    exact(&relay, (V6, ports[VIDEO]).into(), VIDEO, Node::new(V6).rtp(VIDEO), &[&a, &b, &c]);
}

#[test]
fn every_address_means_both_ip_versions_and_any_mix_of_children() {
    for from in [V4, V6] {
        let (relay, ports) = relay(&[]);
        let [a, b, c] = [V4, V6, V4].map(Node::new);
        exact(&relay, (from, ports[AUDIO]).into(), AUDIO, Node::new(from).rtp(AUDIO), &[&a, &b, &c]);
    }
}

#[test]
fn with_a_socket_for_each_ip_version_children_of_both_are_reached() {
    for from in [V4, V6] {
        let (relay, ports) = relay(&[V4, V6]);
        let [a, b] = [V4, V6].map(Node::new);
        exact(&relay, (from, ports[AUDIO]).into(), AUDIO, Node::new(from).rtp(AUDIO), &[&a, &b]);
    }
}

#[test]
fn bursts_to_many_children_stay_in_order() {
    const CHILDREN: u32 = 64;
    let (relay, ports) = relay(&[V4]);
    let children: Vec<_> = (0..CHILDREN).map(|_| UdpSocket::bind((V4, 0)).unwrap()).collect();
    let target = |counter: u32| {
        let port = children[counter as usize].local_addr().unwrap().port();
        Target { counter, address: V4, ports: [port, port] }
    };
    let targets = (0..CHILDREN).map(target).collect();
    relay.publish(Plan { children: targets, all: (0..CHILDREN as usize).collect(), ..Plan::default() });
    let sender = Node::new(V4);
    // Nobody waits: while the first packet's copies go out, more than a chunk of copies gathers.
    for sequence in 0..100 {
        sender.rtp(AUDIO).send_to(&rtp(1, sequence), (V4, ports[AUDIO])).unwrap();
    }
    for child in &children {
        child.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        for sequence in 0..100 {
            assert_eq!(receive(child).0, rtp(1, sequence));
        }
    }
}

#[test]
fn a_route_takes_precedence_over_the_set_of_all() {
    let (relay, ports) = relay(&[V4]);
    let [a, b, sender] = [V4; 3].map(Node::new);
    let routes = [(key(ports[AUDIO], 1), vec![1, 99]), (key(ports[AUDIO], 2), vec![])].into();
    relay.publish(Plan { routes, all: vec![0], ..everyone(&[&a, &b]) });
    for ssrc in [1, 2, 3] {
        sender.rtp(AUDIO).send_to(&rtp(ssrc, 0), (V4, ports[AUDIO])).unwrap();
    }
    assert_eq!(receive(b.rtp(AUDIO)).0, rtp(1, 0), "index 99 does not exist and is left out");
    assert_eq!(receive(a.rtp(AUDIO)).0, rtp(3, 0));
    soon("a stream with an empty set", || drops(&relay, Reason::NoChildren) == 1);
    assert!(a.is_silent() && b.is_silent());
}

#[test]
fn hop_count_goes_down_by_one_and_dscp_and_ecn_stay() {
    for (address, level, hops, class) in [
        (V4, libc::SOL_IP, [libc::IP_TTL, libc::IP_RECVTTL], [libc::IP_TOS, libc::IP_RECVTOS]),
        (
            V6,
            libc::SOL_IPV6,
            [libc::IPV6_UNICAST_HOPS, libc::IPV6_RECVHOPLIMIT],
            [libc::IPV6_TCLASS, libc::IPV6_RECVTCLASS],
        ),
    ] {
        // Dual stack, so that IPv4 takes the way through IPv4-mapped addresses.
        let (relay, ports) = relay(&[]);
        let [node, sender] = [address; 2].map(Node::new);
        relay.publish(everyone(&[&node]));
        socket::set(sender.rtp(AUDIO), level, hops[0], 33).unwrap();
        socket::set(sender.rtp(AUDIO), level, class[0], 0xb8 | 1).unwrap();
        socket::set(node.rtp(AUDIO), level, hops[1], 1).unwrap();
        socket::set(node.rtp(AUDIO), level, class[1], 1).unwrap();
        sender.rtp(AUDIO).send_to(&rtp(1, 1), (address, ports[AUDIO])).unwrap();
        let mut inbox = Inbox::new();
        soon("the copy", || inbox_ready(node.rtp(AUDIO)));
        assert_eq!(inbox.receive(&node.rtp(AUDIO).as_fd()).unwrap(), 1);
        let packet = inbox.packets(0).next().unwrap();
        assert_eq!((packet.ttl, packet.class), (32, 0xb9), "{address}");
    }
}

fn inbox_ready(socket: &UdpSocket) -> bool {
    socket.peek(&mut [0; 1]).is_ok()
}

#[test]
fn in_a_ring_of_relays_each_child_gets_one_copy() {
    let relays = [(); 3].map(|()| relay(&[V4]));
    for (index, (relay, _)) in relays.iter().enumerate() {
        let next = Target { counter: 0, address: V4, ports: relays[(index + 1) % 3].1 };
        relay.publish(Plan { children: vec![next], all: vec![0], ..Plan::default() });
    }
    let sender = Node::new(ELSEWHERE);
    let sum = |of: &dyn Fn(&Userspace) -> u64| relays.iter().map(|(relay, _)| of(relay)).sum::<u64>();
    for sequence in 1..=100 {
        sender.rtp(AUDIO).send_to(&rtp(1, sequence as u16), (V4, relays[0].1[AUDIO])).unwrap();
        soon("it has come round", || sum(&|relay| drops(relay, Reason::SsrcCollision)) == sequence);
    }
    assert_eq!(drops(&relays[0].0, Reason::SsrcCollision), 100, "where it came from");
    assert_eq!(sum(&|relay| child(relay, 0).packets), 300);
    let source = relays[0].0.stream(&key(relays[0].1[AUDIO], 1)).unwrap().source_port;
    assert_eq!(source, sender.ports[AUDIO], "the stream's source has not moved");
}

#[test]
fn a_packet_at_its_last_hop_ends_here() {
    let (relay, ports) = relay(&[V4]);
    let [node, sender] = [V4; 2].map(Node::new);
    relay.publish(everyone(&[&node]));
    sender.rtp(AUDIO).set_ttl(1).unwrap();
    sender.rtp(AUDIO).send_to(&rtp(1, 1), (V4, ports[AUDIO])).unwrap();
    soon("counted", || drops(&relay, Reason::TtlExpired) == 1);
    assert!(node.is_silent());
}

#[test]
fn jumbo_payloads_pass_and_longer_ones_are_not_cut() {
    let (relay, ports) = relay(&[V4]);
    let [node, sender] = [V4; 2].map(Node::new);
    relay.publish(everyone(&[&node]));
    let mut packet = rtp(1, 1);
    packet.resize(9216, 5);
    sender.rtp(AUDIO).send_to(&packet, (V4, ports[AUDIO])).unwrap();
    assert_eq!(receive(node.rtp(AUDIO)).0, packet);
    packet.push(5);
    sender.rtp(AUDIO).send_to(&packet, (V4, ports[AUDIO])).unwrap();
    soon("too long", || drops(&relay, Reason::BadLength) == 1);
    assert!(node.is_silent());
}
