//! Each CPU remembers which listener it has met last; a change of addresses or of the interface's MAC must reach it with the
//! very next packet all the same, on every CPU, whoever made it.

use crate::support::frames::{Datagram, rtp};
use crate::support::{Child, Ip, Kernel, VIDEO, listeners, media, with_kernel};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use relay_common::reason::Reason;
use relay_ctl::kernel::Mode;

const CHILD: Child = Child { id: 0, nic: 1, ip: Ip::V4, ports: [5002, 5004] };
const OTHER_MAC: [u8; 6] = [2, 0, 0, 9, 9, 9];

/// What every CPU counts when the packet comes to it.
fn on_each_cpu(kernel: &mut Kernel<'_>, packet: &Datagram) -> Vec<Vec<(Reason, u64)>> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).unwrap();
    let cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap());
    let counted = cpus
        .map(|cpu| {
            let mut one = CpuSet::new();
            one.set(cpu).unwrap();
            sched_setaffinity(this, &one).unwrap();
            let packet = kernel.fresh(packet);
            kernel.run(&packet.bytes()).counted
        })
        .collect();
    sched_setaffinity(this, &allowed).unwrap();
    counted
}

fn all_forward(counted: &[Vec<(Reason, u64)>]) -> bool {
    counted.iter().all(Vec::is_empty)
}

fn all_count(counted: &[Vec<(Reason, u64)>], reason: Reason) -> bool {
    counted.iter().all(|counted| *counted == [(reason, 1)])
}

#[test]
fn when_an_address_goes_and_comes_back() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("address", mode, |kernel| {
            kernel.children(&[CHILD], &[]);
            let (v4, v6) = (media(Ip::V4, rtp(1, 1, 60)), media(Ip::V6, rtp(2, 1, 60)));
            for _ in 0..3 {
                assert!(all_forward(&on_each_cpu(kernel, &v4)), "{mode}");
                let mut left = listeners();
                left.retain(|key, _| key.address == relay_ctl::address::mapped(v6.destination.ip()));
                kernel.plane.listen(left).unwrap();
                assert!(all_count(&on_each_cpu(kernel, &v4), Reason::NotLocal), "{mode}");
                kernel.listen();
            }
        });
    }
}

#[test]
fn when_a_port_is_not_listened_on_any_more() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("port", mode, |kernel| {
            kernel.children(&[CHILD], &[]);
            let packet = media(Ip::V4, rtp(1, 1, 60));
            assert!(all_forward(&on_each_cpu(kernel, &packet)), "{mode}");
            let mut left = listeners();
            left.retain(|key, _| key.port != VIDEO);
            kernel.plane.listen(left).unwrap();
            assert!(all_count(&on_each_cpu(kernel, &packet), Reason::UnknownPort), "{mode}");
        });
    }
}

#[test]
fn when_the_interface_gets_another_mac() {
    with_kernel("mac", Mode::Xdp, |kernel| {
        kernel.children(&[CHILD], &[]);
        let old = media(Ip::V4, rtp(1, 1, 60));
        let new = Datagram { destination_mac: OTHER_MAC, ..media(Ip::V4, rtp(1, 1, 60)) };
        assert!(all_forward(&on_each_cpu(kernel, &old)));
        assert!(all_count(&on_each_cpu(kernel, &new), Reason::NotLocal));
        let mut changed = listeners();
        changed.values_mut().for_each(|listener| listener.mac = OTHER_MAC);
        kernel.plane.listen(changed).unwrap();
        assert!(all_count(&on_each_cpu(kernel, &old), Reason::NotLocal));
        assert!(all_forward(&on_each_cpu(kernel, &new)));
    });
}

/// A daemon that dies between a change and telling the CPUs of it leaves them with what they know; the next one tells them.
#[test]
fn when_another_daemon_takes_over() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("daemon", mode, |kernel| {
            kernel.children(&[CHILD], &[]);
            kernel.plane.attach().unwrap();
            let packet = media(Ip::V4, rtp(1, 1, 60));
            assert!(all_forward(&on_each_cpu(kernel, &packet)), "{mode}");
            let before = kernel.plane.maps().policy_changes.get(&0, 0).unwrap();
            kernel.take_over();
            let after = kernel.plane.maps().policy_changes.get(&0, 0).unwrap();
            assert_ne!(before, after, "{mode}");
            assert!(all_forward(&on_each_cpu(kernel, &packet)), "{mode}");
        });
    }
}
