//! Packets that the relay finds together. A child that asks for UDP_GRO is given a message as it was sent, not cut apart;
//! one that does not sees the packets.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use nix::libc;

use super::super::socket::{self, Inbox};
use super::super::{TapFilter, outbox};
use super::*;

/// Sends while the relay's thread is held, so that it then finds all of it in one batch.
fn held(relay: &Userspace, to: SocketAddr, sender: &Node, send: impl FnOnce(&UdpSocket)) {
    stay_on_this_cpu();
    let held = relay.shared.books[AUDIO].streams();
    // The thread stops in the middle of this, which nobody gets: it looks like STUN.
    sender.rtp(AUDIO).send_to(&[0; 20], to).unwrap();
    arrived(sender);
    let endpoint = relay.groups[AUDIO].endpoints.iter().find(|endpoint| endpoint.local.port() == to.port());
    let socket = &endpoint.unwrap().socket;
    let start = Instant::now();
    while socket.peek(&mut [MaybeUninit::uninit(); 1]).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(5), "the relay does not read");
        std::thread::yield_now();
    }
    send(sender.rtp(AUDIO));
    arrived(sender);
    drop(held);
}

/// What one CPU sends over loopback arrives in that order.
fn stay_on_this_cpu() {
    // SAFETY: a set of bits, for which all zeros is a value, and which lives through the call with its right length.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Waits until all that was sent before has arrived: on a busy machine that may take a while even over loopback.
fn arrived(sender: &Node) {
    let own = sender.rtcp(AUDIO);
    own.send_to(b"last", own.local_addr().unwrap()).unwrap();
    assert_eq!(receive(own).0, b"last");
}

fn at_once(relay: &Userspace, to: SocketAddr, sender: &Node, packets: &[Vec<u8>]) {
    held(relay, to, sender, |socket| {
        for packet in packets {
            socket.send_to(packet, to).unwrap();
        }
    });
}

/// A child that is given messages as they were sent.
fn whole(node: &Node) -> &UdpSocket {
    socket::set(node.rtp(AUDIO), libc::SOL_UDP, libc::UDP_GRO, 1).unwrap();
    node.rtp(AUDIO)
}

fn message(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 16];
    let length = socket.recv(&mut buffer).expect("a message in time");
    buffer.truncate(length);
    buffer
}

fn burst(ssrc: u32, count: u16) -> Vec<Vec<u8>> {
    (0..count).map(|sequence| rtp(ssrc, sequence)).collect()
}

/// The kernel then refuses messages of several packets (EINVAL), and no others.
fn refuse_runs(relay: &Userspace, refuse: bool) {
    for endpoint in &relay.groups[AUDIO].endpoints {
        assert!(endpoint.segments, "a test for kernels with UDP_SEGMENT");
        socket::set(&endpoint.socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, i32::from(refuse)).unwrap();
    }
}

#[test]
fn a_burst_goes_to_each_child_in_one_message_and_arrives_as_its_packets() {
    for (listen, address) in [(vec![V4], V4), (vec![V6], V6), (vec![], V4), (vec![], V6)] {
        let (relay, ports) = relay(&listen);
        let [a, b, sender] = [address; 3].map(Node::new);
        relay.publish(everyone(&[&a, &b]));
        let packets = burst(1, 50);
        let a_gets = whole(&a);
        at_once(&relay, (address, ports[AUDIO]).into(), &sender, &packets);
        assert_eq!(message(a_gets), packets.concat());
        for packet in &packets {
            let (got, from) = receive(b.rtp(AUDIO));
            assert_eq!((got, from), (packet.clone(), (address, ports[AUDIO]).into()));
        }
        for counter in [0, 1] {
            let expected = ChildStats { packets: 50, bytes: 10_000, errors: 0, too_big: 0 };
            soon("packets are counted, not messages", || child(&relay, counter) == expected);
        }
        assert!(a.is_silent() && b.is_silent());
        let (_, stream) = relay.streams()[0];
        assert_eq!((stream.packets, stream.lost(), stream.reordered), (50, 0, 0));
    }
}

#[test]
fn a_shorter_packet_ends_a_message_and_a_longer_one_begins_another() {
    let (relay, ports) = relay(&[V4]);
    let [node, sender] = [V4; 2].map(Node::new);
    relay.publish(everyone(&[&node]));
    let mut packets = burst(1, 7);
    packets[2].truncate(150);
    packets[4].resize(1000, 7);
    let node_gets = whole(&node);
    at_once(&relay, (V4, ports[AUDIO]).into(), &sender, &packets);
    for expected in [packets[..3].concat(), packets[3].clone(), packets[4..6].concat(), packets[6].clone()] {
        assert_eq!(message(node_gets), expected);
    }
    let bytes = packets.concat().len() as u64;
    soon("counted", || child(&relay, 0) == ChildStats { packets: 7, bytes, errors: 0, too_big: 0 });
}

#[test]
fn two_streams_in_turn_go_in_a_message_each_to_their_own_children() {
    let (relay, ports) = relay(&[V4]);
    let [a, b, sender] = [V4; 3].map(Node::new);
    let routes = [(key(ports[AUDIO], 1), vec![0]), (key(ports[AUDIO], 2), vec![1])].into();
    relay.publish(Plan { routes, ..everyone(&[&a, &b]) });
    let [one, two] = [1, 2].map(|ssrc| burst(ssrc, 30));
    let turns: Vec<_> = one.iter().zip(&two).flat_map(|(one, two)| [one.clone(), two.clone()]).collect();
    let gets = [&a, &b].map(whole);
    at_once(&relay, (V4, ports[AUDIO]).into(), &sender, &turns);
    assert_eq!(message(gets[0]), one.concat());
    assert_eq!(message(gets[1]), two.concat());
    assert!(a.is_silent() && b.is_silent());
}

#[test]
fn packets_of_different_hop_count_or_class_keep_theirs() {
    let (relay, ports) = relay(&[]);
    let [node, sender] = [V4; 2].map(Node::new);
    relay.publish(everyone(&[&node]));
    socket::set(node.rtp(AUDIO), libc::SOL_IP, libc::IP_RECVTTL, 1).unwrap();
    socket::set(node.rtp(AUDIO), libc::SOL_IP, libc::IP_RECVTOS, 1).unwrap();
    let to: SocketAddr = (V4, ports[AUDIO]).into();
    let marks = [(20, 0), (20, 0), (30, 0), (30, 0xb8), (30, 0xb8), (20, 0)];
    held(&relay, to, &sender, |socket| {
        for ((ttl, class), sequence) in marks.into_iter().zip(0..) {
            socket::set(socket, libc::SOL_IP, libc::IP_TTL, ttl).unwrap();
            socket::set(socket, libc::SOL_IP, libc::IP_TOS, class).unwrap();
            socket.send_to(&rtp(1, sequence), to).unwrap();
        }
    });
    let mut inbox = Inbox::new();
    let mut seen = Vec::new();
    while seen.len() < marks.len() {
        node.rtp(AUDIO).peek(&mut [0; 1]).expect("a packet in time");
        let count = inbox.receive(&node.rtp(AUDIO).as_fd()).unwrap();
        let packets = (0..count).flat_map(|index| inbox.packets(index));
        seen.extend(packets.map(|packet| (packet.payload.to_vec(), packet.ttl, packet.class)));
    }
    let sent = marks.into_iter().zip(0..);
    let expected: Vec<_> =
        sent.map(|((ttl, class), sequence)| (rtp(1, sequence), ttl as u8 - 1, class as u8)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn what_the_kernel_refuses_together_goes_one_by_one_and_is_not_tried_again_at_once() {
    const CHILDREN: usize = 40;
    let (relay, ports) = relay(&[V4]);
    let nodes: Vec<_> = (0..CHILDREN).map(|_| Node::new(V4)).collect();
    let sender = Node::new(V4);
    relay.publish(everyone(&Vec::from_iter(&nodes)));
    let to: SocketAddr = (V4, ports[AUDIO]).into();
    let all = |packets: &[Vec<u8>]| {
        for node in &nodes {
            for packet in packets {
                assert_eq!(message(node.rtp(AUDIO)), *packet);
            }
        }
    };
    whole(&nodes[0]);
    refuse_runs(&relay, true);
    // Cut apart, more than one call takes.
    let packets = burst(1, 60);
    at_once(&relay, to, &sender, &packets);
    all(&packets);
    refuse_runs(&relay, false);
    let again = burst(2, 10);
    at_once(&relay, to, &sender, &again);
    all(&again);
    // Shorter ones were not refused.
    let shorter: Vec<_> = burst(3, 10).into_iter().map(|packet| packet[..199].to_vec()).collect();
    at_once(&relay, to, &sender, &shorter);
    assert_eq!(message(nodes[0].rtp(AUDIO)), shorter.concat());
    for counter in 0..CHILDREN as u32 {
        let expected = ChildStats { packets: 80, bytes: 70 * 200 + 10 * 199, errors: 0, too_big: 0 };
        soon("nothing counts as failed", || child(&relay, counter) == expected);
    }
    assert_eq!(drops(&relay, Reason::EgressRefused), 0);
}

#[test]
fn a_child_that_the_kernel_refuses_is_counted_by_the_packet_and_costs_the_others_nothing() {
    let (relay, ports) = relay(&[V4]);
    let [first, last, sender] = [V4; 3].map(Node::new);
    let refused = Target { counter: 1, address: [255; 4].into(), ports: [9, 11] };
    let itself = Target { counter: 3, ..sender.target(3) };
    let children = vec![first.target(0), refused, last.target(2), itself];
    relay.publish(Plan { children, all: vec![0, 1, 2, 3], ..Plan::default() });
    let packets = burst(1, 64);
    at_once(&relay, (V4, ports[AUDIO]).into(), &sender, &packets);
    for node in [&first, &last] {
        for packet in &packets {
            assert_eq!(receive(node.rtp(AUDIO)).0, *packet);
        }
    }
    for (counter, packets, errors) in [(0, 64, 0), (1, 0, 64), (2, 64, 0), (3, 0, 64)] {
        let expected = ChildStats { packets, bytes: packets * 200, errors, too_big: 0 };
        soon("each packet is counted", || child(&relay, counter) == expected);
    }
    assert_eq!(drops(&relay, Reason::EgressRefused), 64);
    assert_eq!(drops(&relay, Reason::ChildIsSender), 64);
}

#[test]
fn a_message_of_several_packets_is_taken_apart_and_counted_as_its_packets() {
    for address in [V4, V6] {
        let (relay, ports) = relay(&[]);
        let [node, sender] = [address; 2].map(Node::new);
        relay.publish(everyone(&[&node]));
        let to: SocketAddr = (address, ports[AUDIO]).into();
        socket::set(sender.rtp(AUDIO), libc::SOL_UDP, libc::UDP_SEGMENT, 200).unwrap();
        let ssrc = |packet: &Vec<u8>| if packet.len() == 8 { packet[7] } else { packet[11] };
        // No more at a time than the child's buffer holds.
        for round in 0..5 {
            let numbers = 60 * round..60 * (round + 1);
            let mut packets: Vec<_> = numbers.map(|number| rtp(1 + number % 3, number as u16)).collect();
            // Neither media nor for anybody, and a shorter one.
            packets[30] = vec![0; 200];
            packets.push(rtcp(1));
            let mut expected: Vec<_> = packets.iter().filter(|packet| packet[0] != 0).cloned().collect();
            expected.sort_by_key(ssrc);
            sender.rtp(AUDIO).send_to(&packets.concat(), to).unwrap();
            let mut got: Vec<_> = expected.iter().map(|_| receive(node.rtp(AUDIO)).0).collect();
            // Streams may change places, their packets may not.
            got.sort_by_key(ssrc);
            assert!(got == expected, "another order");
        }
        soon("counted", || {
            child(&relay, 0) == ChildStats { packets: 300, bytes: 5 * (59 * 200 + 8), errors: 0, too_big: 0 }
        });
        assert_eq!(drops(&relay, Reason::NotRtp), 5);
        let streams = relay.streams();
        let counts: Vec<_> =
            streams.iter().map(|(_, stream)| (stream.packets, stream.rtcp_packets)).collect();
        assert_eq!(counts, [(95, 5), (100, 0), (100, 0)]);
        assert!(node.is_silent());
    }
}

#[test]
fn a_capture_shows_single_packets() {
    let (relay, ports) = relay(&[V4]);
    let [node, sender] = [V4; 2].map(Node::new);
    relay.publish(everyone(&[&node]));
    let tap = relay.tap(TapFilter::default());
    let packets = burst(1, 20);
    at_once(&relay, (V4, ports[AUDIO]).into(), &sender, &packets);
    for packet in &packets {
        for outgoing in [false, true] {
            let seen = tap.recv_timeout(Duration::from_secs(5)).expect("a packet in time");
            assert_eq!((seen.outgoing, &seen.payload), (outgoing, packet));
        }
    }
    for packet in &packets {
        assert_eq!(receive(node.rtp(AUDIO)).0, *packet);
    }
}

#[test]
fn support_is_asked_for() {
    let node = Node::new(V4);
    assert!(outbox::segments(node.rtp(AUDIO)));
    let (stream, _) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(!outbox::segments(&stream), "as of a kernel that does not know it");
}
