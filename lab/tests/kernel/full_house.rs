//! As many children as a relay may have.

use crate::support::frames::rtp;
use crate::support::wire::Tap;
use crate::support::{Child, Ip, TC_SHOT, media, with_kernel};
use relay_common::layout::MAX_CHILDREN;
use relay_ctl::kernel::Mode;

/// 256 children, half of them behind each NIC.
fn full_house(ip: Ip) -> Vec<Child> {
    (0..MAX_CHILDREN)
        .map(|id| Child { id, nic: 1 + (id % 2) as usize, ip, ports: [5002, 5004 + id as u16] })
        .collect()
}

fn behind(children: &[Child], nic: usize) -> impl Iterator<Item = &Child> {
    children.iter().filter(move |child| child.nic == nic)
}

#[test]
fn the_tc_program_reaches_256_children() {
    for ip in [Ip::V4, Ip::V6] {
        with_kernel("full", Mode::Tc, |kernel| {
            let children = full_house(ip);
            kernel.children(&children, &[]);
            let mut taps = [1, 2].map(|nic| Tap::open(kernel.lab, nic));
            let packet = media(ip, rtp(1, 1, 61));
            let ran = kernel.run(&packet.bytes());
            assert_eq!((ran.verdict, &ran.counted[..]), (TC_SHOT, &[][..]));
            for (nic, tap) in (1..).zip(&mut taps) {
                let copies: Vec<_> =
                    behind(&children, nic).map(|child| child.copy_of(&packet).bytes()).collect();
                assert_eq!(tap.take(copies.len()), copies, "eth{nic}");
            }
            assert!(children.iter().all(|child| kernel.stats(child).packets == 1));
        });
    }
}

#[test]
fn the_xdp_programs_reach_256_children() {
    for ip in [Ip::V4, Ip::V6] {
        with_kernel("full", Mode::Xdp, |kernel| {
            let children = full_house(ip);
            kernel.children(&children, &[]);
            let mut taps = [1, 2].map(|nic| Tap::open(kernel.lab, nic));
            for sequence in 0..2 {
                let packet = media(ip, rtp(1, sequence, 61));
                assert_eq!(kernel.run_live(&packet.bytes()), []);
                for (nic, tap) in (1..).zip(&mut taps) {
                    let copies: Vec<_> =
                        behind(&children, nic).map(|child| child.copy_of(&packet).bytes()).collect();
                    assert_eq!(tap.take(copies.len()), copies, "eth{nic}");
                }
            }
            assert!(children.iter().all(|child| kernel.stats(child).packets == 2));
        });
    }
}
