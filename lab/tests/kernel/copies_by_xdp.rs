//! What becomes of the copies: the XDP program run on live frames (`BPF_F_TEST_XDP_LIVE_FRAMES`), so that the kernel
//! broadcasts, the devmap program writes each child's headers, and the frames really arrive.

use crate::support::frames::{Checksum, Datagram, TAG, rtcp, rtp};
use crate::support::redirector::Redirector;
use crate::support::wire::Tap;
use crate::support::{AUDIO, Child, Ip, Kernel, VIDEO, live, media, with_kernel};
use relay_common::layout::{ALL_CHILDREN, GroupKey, Span, half};
use relay_common::reason::Reason;
use relay_ctl::fanout::MapWrite;
use relay_ctl::kernel::{Mode, programs};

/// Three behind the first NIC, two behind the second, in no particular order.
fn five(ip: Ip) -> Vec<Child> {
    [(0, 2), (1, 1), (2, 1), (3, 2), (4, 1)]
        .into_iter()
        .map(|(id, nic)| Child { id, nic, ip, ports: [5002 + 10 * id as u16, 5004 + 10 * id as u16] })
        .collect()
}

fn behind(children: &[Child], nic: usize) -> Vec<Child> {
    children.iter().copied().filter(|child| child.nic == nic).collect()
}

/// Checks that each child's copy has come, and no other.
fn assert_copies(what: &str, taps: &mut [Tap; 2], children: &[Child], packet: &Datagram) {
    for (nic, tap) in (1..).zip(taps) {
        let expected: Vec<Vec<u8>> =
            behind(children, nic).iter().map(|child| child.copy_of(packet).bytes()).collect();
        assert_eq!(tap.take(expected.len()), expected, "{what}, eth{nic}");
    }
}

fn taps(kernel: &Kernel<'_>) -> [Tap; 2] {
    [1, 2].map(|nic| Tap::open(kernel.lab, nic))
}

/// As the XDP program leaves what hardware was to finish.
fn finished(packet: &Datagram) -> Datagram {
    let checksum = match packet.checksum {
        Checksum::Partial => Checksum::Right,
        checksum => checksum,
    };
    Datagram { checksum, tags: Vec::new(), ..packet.clone() }.trimmed()
}

#[test]
fn every_child_gets_its_own_copy_of_every_form_of_packet() {
    for ip in [Ip::V4, Ip::V6] {
        with_kernel("copies", Mode::Xdp, |kernel| {
            let children = five(ip);
            kernel.children(&children, &[]);
            let mut taps = taps(kernel);
            let video = |length| media(ip, rtp(8888, 1, length));
            let to = |port, mut packet: Datagram| {
                packet.destination.set_port(port);
                packet
            };
            let mut forms = vec![
                ("video", video(172)),
                ("audio", to(AUDIO, video(80))),
                ("RTCP", to(VIDEO + 1, media(ip, rtcp(8888)))),
                ("audio RTCP", to(AUDIO + 1, media(ip, rtcp(8888)))),
                ("RTCP on the RTP port", media(ip, rtcp(8888))),
                ("with padding", Datagram { padding: 6, ..video(12) }),
                ("with a VLAN tag", Datagram { tags: vec![TAG], ..video(100) }),
                ("a full frame", video(1_452)),
                ("TTL 2", Datagram { ttl: 2, ..video(100) }),
                ("a partial checksum", Datagram { checksum: Checksum::Partial, ..video(101) }),
            ];
            if ip == Ip::V4 {
                forms.push(("no checksum", Datagram { checksum: Checksum::None, ..video(100) }));
            }
            for (number, (_, packet)) in (1..).zip(&mut forms) {
                *packet = packet.clone().numbered(number);
            }
            for (what, packet) in &forms {
                assert_eq!(kernel.run_live(&packet.bytes()), [], "{what}");
                assert_copies(what, &mut taps, &children, &finished(packet));
            }
            let bytes: usize = forms.iter().map(|(_, packet)| packet.payload.len()).sum();
            for child in &children {
                let stats = kernel.stats(child);
                assert_eq!((stats.packets, stats.bytes, stats.errors), (forms.len() as u64, bytes as u64, 0));
            }
            assert_eq!(taps.map(|mut tap| tap.rest().len()), [0, 0], "and nothing else");
        });
    }
}

#[test]
fn copies_stay_in_step_while_children_change() {
    with_kernel("step", Mode::Xdp, |kernel| {
        let all = five(Ip::V4);
        let mut taps = taps(kernel);
        let mut sequence = 0;
        for round in 0..40usize {
            let children: Vec<Child> =
                all.iter().copied().filter(|child| (round * 7 + 3) >> (child.id % 5) & 1 == 1).collect();
            kernel.children(&children, &[]);
            for _ in 0..3 {
                sequence += 1;
                let packet = media(Ip::V4, rtp(8888, sequence, 60));
                let counted = kernel.run_live(&packet.bytes());
                let nobody = children.is_empty().then_some((Reason::NoChildren, 1));
                assert_eq!(counted, Vec::from_iter(nobody), "round {round}");
                assert_copies(&format!("round {round}"), &mut taps, &children, &packet);
            }
        }
    });
}

#[test]
fn the_sender_gets_no_copy_of_its_own_packet() {
    for ip in [Ip::V4, Ip::V6] {
        with_kernel("sender", Mode::Xdp, |kernel| {
            let children = five(ip);
            kernel.children(&children, &[]);
            let mut taps = taps(kernel);
            for sender in &children {
                let packet = Datagram { source: sender.goal(VIDEO), ..media(ip, rtp(sender.id, 1, 60)) };
                assert_eq!(kernel.run_live(&packet.bytes()), [(Reason::ChildIsSender, 1)]);
                let others: Vec<Child> =
                    children.iter().copied().filter(|child| child.id != sender.id).collect();
                assert_copies("from a child", &mut taps, &others, &packet);
                // A frame that says nothing went instead: a driver that is given nothing at the end of a poll sends nothing.
                assert_eq!(taps[sender.nic - 1].blanks(), 1);
                assert_eq!(kernel.stats(sender).errors, 1);
            }
            // Its address with another port is somebody else.
            let packet = Datagram { source: children[0].goal(AUDIO), ..media(ip, rtp(9, 2, 60)) };
            assert_eq!(kernel.run_live(&packet.bytes()), []);
            assert_copies("from another port", &mut taps, &children, &packet);
        });
    }
}

#[test]
fn children_of_the_other_ip_version_are_left_out() {
    with_kernel("family", Mode::Xdp, |kernel| {
        let mut children = five(Ip::V4);
        for at in [1, 3] {
            children[at].ip = Ip::V6;
        }
        kernel.children(&children, &[]);
        let mut taps = taps(kernel);
        for (ip, left_out) in [(Ip::V4, 2), (Ip::V6, 3)] {
            let packet = media(ip, rtp(left_out as u32, 1, 60));
            assert_eq!(kernel.run_live(&packet.bytes()), [(Reason::OtherFamily, left_out)]);
            let reached: Vec<Child> = children.iter().copied().filter(|child| child.ip == ip).collect();
            assert_copies(&format!("{ip:?}"), &mut taps, &reached, &packet);
        }
        // Nothing was tried and nothing failed: they are not in the set of that IP version.
        assert!(children.iter().all(|child| kernel.stats(child).errors == 0));
    });
}

#[test]
fn a_copy_that_another_program_redirected_is_dropped() {
    with_kernel("foreign", Mode::Xdp, |kernel| {
        let children = behind(&five(Ip::V4), 1);
        kernel.children(&children, &[]);
        let mut taps = taps(kernel);
        let redirector = Redirector::load(kernel, ALL_CHILDREN);
        let packet = media(Ip::V4, rtp(1, 1, 60));
        let before = kernel.count(Reason::CopyWithoutToken);
        live(redirector.program(), &packet.bytes(), 1);
        assert_eq!(kernel.count(Reason::CopyWithoutToken), before + 1);
        assert_eq!(taps[0].rest(), Vec::<Vec<u8>>::new());
        // The relay's own copies are none the worse.
        assert_eq!(kernel.run_live(&packet.bytes()), []);
        assert_copies("after a foreign frame", &mut taps, &children, &packet);
    });
}

/// Makes the maps say that a number of children are behind `eth1`, whatever the devmap says.
fn pretend(kernel: &mut Kernel<'_>, count: u32) {
    let instance = kernel.plane.maps().sets.get(&half(ALL_CHILDREN, false), 0).unwrap().instance();
    let key = GroupKey { instance, ifindex: kernel.nic(1) };
    let first = kernel.plane.maps().groups.get(&key, 0).unwrap().first;
    let span = Span { first, count, ifindex: kernel.nic(1) };
    for command in [MapWrite::WriteGroup { key, span }, MapWrite::WriteInstance { instance, span }] {
        kernel.plane.maps_mut().carry_out(command, None).unwrap();
    }
}

#[test]
fn more_copies_than_children_are_dropped() {
    with_kernel("more", Mode::Xdp, |kernel| {
        let children = behind(&five(Ip::V4), 1);
        kernel.children(&children, &[]);
        let mut taps = taps(kernel);
        pretend(kernel, 1);
        for sequence in 0..3 {
            let packet = media(Ip::V4, rtp(1, sequence, 60));
            assert_eq!(kernel.run_live(&packet.bytes()), [(Reason::CopyWithoutChild, 2)]);
            assert_copies("the first child", &mut taps, &children[..1], &packet);
        }
        assert_eq!(taps[0].rest(), Vec::<Vec<u8>>::new());
    });
}

#[test]
fn copies_that_the_kernel_did_not_make_are_counted() {
    with_kernel("fewer", Mode::Xdp, |kernel| {
        let children = behind(&five(Ip::V4), 1);
        kernel.children(&children, &[]);
        let mut taps = taps(kernel);
        pretend(kernel, 5);
        let packet = media(Ip::V4, rtp(1, 1, 60));
        assert_eq!(kernel.run_live(&packet.bytes()), [(Reason::CopyNotMade, 2)]);
        assert_copies("three of five", &mut taps, &children, &packet);
        for sequence in 2..5 {
            let packet = packet.clone().numbered(sequence);
            assert_eq!(kernel.run_live(&packet.bytes()), [(Reason::CopyNotMade, 2)]);
            // The next packet's copies begin with the first child again.
            assert_copies("in step", &mut taps, &children, &packet);
        }
    });
}

/// A veth queue holds 256 frames; two packets for 200 children are more than that at once.
#[test]
fn what_a_driver_refuses_is_counted_for_its_child() {
    with_kernel("refused", Mode::Xdp, |kernel| {
        let children: Vec<Child> =
            (0..200).map(|id| Child { id, nic: 1, ip: Ip::V4, ports: [5002, 5004] }).collect();
        kernel.children(&children, &[]);
        let mut tap = Tap::open(kernel.lab, 1);
        let _link = programs::attach_tracepoint(kernel.plane.programs().ebpf()).unwrap();
        // Twice the same, which media may not be.
        let packet = media(Ip::V4, rtcp(1));
        assert_eq!(kernel.run_live_in_a_row(&packet.bytes(), 2), [(Reason::EgressRefused, 144)]);
        let expected: Vec<Vec<u8>> =
            children.iter().chain(&children[..56]).map(|child| child.copy_of(&packet).bytes()).collect();
        assert_eq!(tap.take(400), expected);
        for child in &children {
            let stats = kernel.stats(child);
            assert_eq!((stats.packets, stats.errors), (2, u64::from(child.id >= 56)), "{child:?}");
        }
    });
}

/// The kernel passes over an interface that is down, whose driver cannot transmit XDP frames just now (a veth without NAPI on
/// its far end), or whose MTU is too small. That is counted, and it must not put the others out of step.
#[test]
fn an_interface_that_takes_no_frames_costs_the_others_nothing() {
    with_kernel("down", Mode::Xdp, |kernel| {
        let children = five(Ip::V4);
        kernel.children(&children, &[]);
        let mut taps = taps(kernel);
        let packet = media(Ip::V4, rtp(1, 1, 160));
        let lab = kernel.lab;
        let mtu = |mtu| drop(lab.run("relay", &["ip", "link", "set", "eth2", "mtu", mtu]).unwrap());
        let events: [(&str, &dyn Fn(bool)); 3] = [
            ("a small MTU", &|on| mtu(if on { "1500" } else { "68" })),
            ("no GRO", &|on| lab.set_feature("egress", "eth2", "gro", on).unwrap()),
            ("down", &|on| lab.set_link("relay", "eth2", on).unwrap()),
        ];
        for (what, set) in events {
            set(false);
            for _ in 0..3 {
                let packet = kernel.fresh(&packet);
                let there = behind(&children, 1);
                let missing = (children.len() - there.len()) as u64;
                assert_eq!(kernel.run_live(&packet.bytes()), [(Reason::CopyNotMade, missing)], "{what}");
                assert_copies(what, &mut taps, &there, &packet);
            }
            set(true);
            let packet = kernel.fresh(&packet);
            assert_eq!(kernel.run_live(&packet.bytes()), [], "{what}");
            assert_copies(&format!("after {what}"), &mut taps, &children, &packet);
        }
    });
}
