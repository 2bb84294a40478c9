//! A child that cannot be sent to does not stop the others, wherever in the walk it is, and the packet ends there.

use crate::support::frames::{Datagram, rtp};
use crate::support::wire::{Tap, send};
use crate::support::{Child, Ip, Kernel, RELAY_MAC, TC_SHOT, VIDEO, media, with_kernel};
use relay_common::reason::Reason;
use relay_ctl::kernel::Mode;

/// All behind the first NIC, so in the order of their numbers.
fn children(ip: Ip, count: u32) -> Vec<Child> {
    (0..count).map(|id| Child { id, nic: 1, ip, ports: [5002, 5004 + id as u16] }).collect()
}

/// Runs the program on a packet of which the children at some places get nothing, and checks what the others get.
fn check(
    kernel: &mut Kernel<'_>,
    tap: &mut Tap,
    children: &[Child],
    packet: &Datagram,
    fails: &[(u32, Reason)],
) {
    let what = format!("{} children, of which {fails:?} fail", children.len());
    let errors_before: Vec<u64> = children.iter().map(|child| kernel.stats(child).errors).collect();
    let ran = kernel.run(&packet.bytes());
    let failed = |child: &Child| fails.iter().any(|(id, _)| *id == child.id);
    let copies: Vec<Vec<u8>> =
        children.iter().filter(|child| !failed(child)).map(|child| child.copy_of(packet).bytes()).collect();
    assert_eq!(tap.take(copies.len()), copies, "{what}");
    assert_eq!(tap.rest(), Vec::<Vec<u8>>::new(), "{what}");
    // tcx knows neither "stolen" nor anything else but pass, drop and redirect: it would hand the packet, which carries
    // another child's address by then, to the stack.
    assert_eq!(ran.verdict, TC_SHOT, "{what}");
    let counted: u64 = ran.counted.iter().map(|(_, times)| times).sum();
    assert_eq!(counted, fails.len() as u64, "{what}: {:?}", ran.counted);
    for (reason, times) in ran.counted {
        assert_eq!(times, fails.iter().filter(|(_, failed)| *failed == reason).count() as u64, "{what}");
    }
    for (child, before) in children.iter().zip(errors_before) {
        // Of those of the other IP version, nothing was tried.
        let tried = fails.iter().any(|(id, reason)| *id == child.id && *reason != Reason::OtherFamily);
        assert_eq!(kernel.stats(child).errors - before, u64::from(tried), "{what}: {child:?}");
    }
}

#[test]
fn the_sender_gets_no_copy_wherever_it_is() {
    for ip in [Ip::V4, Ip::V6] {
        with_kernel("sender", Mode::Tc, |kernel| {
            let mut tap = Tap::open(kernel.lab, 1);
            for count in [1, 2, 4] {
                let children = children(ip, count);
                kernel.children(&children, &[]);
                for sender in &children {
                    let packet = Datagram {
                        source: sender.goal(VIDEO),
                        ..media(ip, rtp(count * 10 + sender.id, 1, 61))
                    };
                    check(kernel, &mut tap, &children, &packet, &[(sender.id, Reason::ChildIsSender)]);
                }
            }
        });
    }
}

#[test]
fn a_child_of_the_other_ip_version_is_left_out_wherever_it_is() {
    for (ip, other) in [(Ip::V4, Ip::V6), (Ip::V6, Ip::V4)] {
        with_kernel("family", Mode::Tc, |kernel| {
            let mut tap = Tap::open(kernel.lab, 1);
            for places in [&[0][..], &[3], &[1, 2], &[0, 1, 2], &[1, 2, 3], &[0, 1, 2, 3]] {
                let mut children = children(ip, 4);
                places.iter().for_each(|at| children[*at as usize].ip = other);
                kernel.children(&children, &[]);
                let fails: Vec<_> = places.iter().map(|at| (*at, Reason::OtherFamily)).collect();
                let packet = kernel.fresh(&media(ip, rtp(1, 1, 61)));
                check(kernel, &mut tap, &children, &packet, &fails);
            }
        });
    }
}

#[test]
fn a_child_behind_an_interface_that_is_gone_is_left_out() {
    with_kernel("gone", Mode::Tc, |kernel| {
        let mut tap = Tap::open(kernel.lab, 1);
        // Interface 1 is the loopback: in front of the others. The kernel has no interface 1 that is not one.
        kernel.pretend_nic(2, u32::MAX >> 1);
        let mut children = children(Ip::V4, 4);
        children[1].nic = 2;
        children.sort_by_key(|child| child.nic);
        kernel.children(&children, &[]);
        // Sorted by interface, the one that is gone is the last.
        let packet = media(Ip::V4, rtp(1, 1, 61));
        let ran = kernel.run(&packet.bytes());
        assert_eq!((ran.verdict, &ran.counted[..]), (TC_SHOT, &[(Reason::EgressRefused, 1)][..]));
        assert_eq!(kernel.stats(&children[3]).errors, 1, "the last child's failure is told, too");
        let copies: Vec<_> = children[..3].iter().map(|child| child.copy_of(&packet).bytes()).collect();
        assert_eq!(tap.take(3), copies);
        // And now two of them.
        children[2].nic = 2;
        children.sort_by_key(|child| (child.nic, child.id));
        kernel.children(&children, &[]);
        let packet = kernel.fresh(&packet);
        let ran = kernel.run(&packet.bytes());
        assert_eq!((ran.verdict, &ran.counted[..]), (TC_SHOT, &[(Reason::EgressRefused, 2)][..]));
        let copies: Vec<_> = children[..2].iter().map(|child| child.copy_of(&packet).bytes()).collect();
        assert_eq!(tap.take(2), copies);
        assert_eq!(children.iter().map(|child| kernel.stats(child).errors).sum::<u64>(), 3);
    });
}

/// The whole way: attached, with a host that forwards, so that whatever reaches the stack goes out again.
#[test]
fn a_packet_whose_last_child_fails_does_not_reach_the_stack() {
    with_kernel("stack", Mode::Tc, |kernel| {
        let mut tap = Tap::open(kernel.lab, 1);
        let mut children = children(Ip::V4, 3);
        children[2].ip = Ip::V6;
        kernel.children(&children, &[]);
        kernel.let_the_host_forward(&children[..2]);
        kernel.plane.attach().unwrap();
        let packet = media(Ip::V4, rtp(1, 1, 61));
        assert_eq!(packet.destination_mac, RELAY_MAC);
        send(kernel.lab, &packet.bytes());
        let copies: Vec<_> = children[..2].iter().map(|child| child.copy_of(&packet).bytes()).collect();
        assert_eq!(tap.take(2), copies);
        assert_eq!(tap.rest(), Vec::<Vec<u8>>::new(), "a copy that the host's own stack forwarded");
    });
}
