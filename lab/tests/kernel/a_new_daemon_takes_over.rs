//! A daemon goes and another opens its maps: what the first left is used, and never cleared from under a live set.

use std::time::Duration;

use crate::support::frames::rtp;
use crate::support::wire::{Tap, send};
use crate::support::{Child, Ip, Kernel, VIDEO, key, media, with_kernel};
use relay_common::layout::MAX_SETS;
use relay_ctl::fanout::GRACE_MS;
use relay_ctl::kernel::Mode;

const ROUTED: u32 = 5;

const CHILDREN: [Child; 4] = [
    Child { id: 0, nic: 1, ip: Ip::V4, ports: [5002, 5004] },
    Child { id: 1, nic: 1, ip: Ip::V4, ports: [6002, 6004] },
    Child { id: 2, nic: 1, ip: Ip::V4, ports: [7002, 7004] },
    Child { id: 3, nic: 1, ip: Ip::V4, ports: [8002, 8004] },
];

fn grace() {
    std::thread::sleep(Duration::from_millis(GRACE_MS + 10));
}

/// Sends a packet of a stream, and checks that these children and no others get it.
fn assert_reaches(what: &str, kernel: &Kernel<'_>, tap: &mut Tap, ssrc: u32, children: &[Child]) {
    let packet = kernel.fresh(&media(Ip::V4, rtp(ssrc, 1, 60)));
    send(kernel.lab, &packet.bytes());
    let copies: Vec<_> = children.iter().map(|child| child.copy_of(&packet).bytes()).collect();
    assert_eq!(tap.take(copies.len()), copies, "{what}, SSRC {ssrc}");
    assert_eq!(tap.rest(), Vec::<Vec<u8>>::new(), "{what}, SSRC {ssrc}");
}

#[test]
fn and_its_changes_reach_every_child_for_as_long_as_it_runs() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("over", mode, |kernel| {
            let mut tap = Tap::open(kernel.lab, 1);
            kernel.children(&CHILDREN[..1], &[(ROUTED, &CHILDREN[..1])]);
            kernel.children(&CHILDREN[..2], &[(ROUTED, &CHILDREN[..1])]);
            kernel.plane.attach().unwrap();
            for round in 0..3 {
                let what = |when: &str| format!("{mode}, daemon {round}, {when}");
                let inherited = kernel.take_over();
                assert_eq!(inherited.routes[&key(VIDEO, ROUTED)], [0].into(), "{}", what("routes"));
                assert_reaches(&what("before it does anything"), kernel, &mut tap, 1, &CHILDREN[..2]);
                for children in [&CHILDREN[..3], &CHILDREN[..3], &CHILDREN[..4], &CHILDREN[..2]] {
                    kernel.children(children, &[(ROUTED, &CHILDREN[..1])]);
                    assert_reaches(&what("after a change"), kernel, &mut tap, 1, children);
                    assert_reaches(&what("after a change"), kernel, &mut tap, ROUTED, &CHILDREN[..1]);
                    grace();
                }
            }
        });
    }
}

#[test]
fn and_nothing_of_the_past_is_left_in_the_maps() {
    with_kernel("past", Mode::Xdp, |kernel| {
        kernel.children(&CHILDREN, &[(1, &CHILDREN[..1]), (2, &CHILDREN[1..3]), (3, &[])]);
        kernel.children(&CHILDREN[1..], &[(2, &CHILDREN[1..3])]);
        kernel.plane.attach().unwrap();
        kernel.take_over();
        kernel.children(&CHILDREN[..2], &[]);
        grace();
        kernel.children(&CHILDREN[..2], &[]);
        let maps = kernel.plane.maps();
        let sets = (0..2 * MAX_SETS).filter(|half| maps.sets.get(half, 0).unwrap().instance() != 0).count();
        assert_eq!(sets, 1, "sets with an instance");
        assert_eq!(maps.groups.keys().count(), 1);
        assert_eq!(maps.routes.keys().count(), 0);
        assert_eq!(maps.peers.keys().count(), 2, "addresses of two children");
    });
}
