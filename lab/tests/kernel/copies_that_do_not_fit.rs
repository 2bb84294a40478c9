//! A copy that is larger than the MTU of the way to its child: left out, counted, and the others none the worse.

use crate::support::frames::rtp;
use crate::support::wire::Tap;
use crate::support::{Child, Ip, Kernel, media, with_kernel};
use relay_common::layout::ChildStats;
use relay_common::reason::Reason;
use relay_ctl::kernel::Mode;

/// Three behind the first NIC, one behind the second.
fn four(ip: Ip) -> [Child; 4] {
    [0, 1, 2, 3].map(|id| Child { id, nic: if id == 3 { 2 } else { 1 }, ip, ports: [5002, 5004] })
}

fn run(kernel: &mut Kernel<'_>, mode: Mode, packet: &[u8]) -> Vec<(Reason, u64)> {
    match mode {
        Mode::Xdp => kernel.run_live(packet),
        Mode::Tc | Mode::Userspace => kernel.run(packet).counted,
    }
}

/// 40 bytes of payload more than fit an MTU of 1,000 and of 1,280.
#[test]
fn a_copy_that_does_not_fit_is_charged_to_its_child() {
    for (mode, ip) in [(Mode::Xdp, Ip::V4), (Mode::Xdp, Ip::V6), (Mode::Tc, Ip::V4), (Mode::Tc, Ip::V6)] {
        with_kernel("mtu", mode, |kernel| {
            let children = four(ip);
            let mtus = [1500, 1280, 1500, 1500];
            kernel.children_with_mtus(&std::array::from_fn::<_, 4, _>(|at| (children[at], mtus[at])));
            let mut tap = Tap::open(kernel.lab, 1);
            let headers = if ip == Ip::V4 { 28 } else { 48 };
            for (length, fits) in [(1_280, true), (1_281, false), (1_500, false)] {
                let before = kernel.stats(&children[1]);
                let packet = media(ip, rtp(1, length as u16, length - headers));
                let counted = run(kernel, mode, &packet.bytes());
                assert_eq!(
                    counted,
                    Vec::from_iter((!fits).then_some((Reason::TooBig, 1))),
                    "{mode} {length}"
                );
                let reached = children.iter().filter(|child| child.nic == 1 && (fits || child.id != 1));
                let expected: Vec<Vec<u8>> = reached.map(|child| child.copy_of(&packet).bytes()).collect();
                assert_eq!(tap.take(expected.len()), expected, "{mode} {length}");
                let after = kernel.stats(&children[1]);
                let (good, bad) = (u64::from(fits), u64::from(!fits));
                let bytes = before.bytes + good * (length - headers) as u64;
                let (packets, errors) = (before.packets + good, before.errors + bad);
                assert_eq!(after, ChildStats { packets, bytes, errors, too_big: errors }, "{mode} {length}");
            }
            // In xdp the copies' place in the row is kept by frames that say nothing.
            assert_eq!(tap.blanks(), if mode == Mode::Xdp { 2 } else { 0 });
        });
    }
}

/// The kernel leaves a device out whose MTU a frame exceeds, without a word.
#[test]
fn an_interface_with_a_small_mtu_is_counted_although_the_kernel_is_silent() {
    with_kernel("small", Mode::Xdp, |kernel| {
        let children = four(Ip::V4);
        kernel.lab.run("relay", &["ip", "link", "set", "eth2", "mtu", "1300"]).unwrap();
        kernel.children_with_mtus(&children.map(|child| (child, if child.nic == 2 { 1300 } else { 1500 })));
        for sequence in 0..3 {
            let packet = media(Ip::V4, rtp(1, sequence, 1_400)).bytes();
            assert_eq!(kernel.run_live(&packet), [(Reason::TooBig, 1)]);
        }
        assert_eq!(kernel.stats(&children[3]), ChildStats { packets: 0, bytes: 0, errors: 3, too_big: 3 });
        assert_eq!(kernel.stats(&children[0]).packets, 3);
    });
}

#[test]
fn a_packet_that_fits_nobody_ends_there() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("nobody", mode, |kernel| {
            let children = four(Ip::V4);
            kernel.children_with_mtus(&children.map(|child| (child, 600)));
            let packet = media(Ip::V4, rtp(1, 1, 800)).bytes();
            assert_eq!(run(kernel, mode, &packet), [(Reason::TooBig, 4)]);
            assert!(children.iter().all(|child| kernel.stats(child).too_big == 1));
        });
    }
}
