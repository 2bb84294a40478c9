//! Two parents' packets may come by two queues, and so on two CPUs at once: each is taken once all the same.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::support::frames::{Datagram, rtp};
use crate::support::{Child, Ip, VIDEO, key, media, with_kernel};
use relay_common::reason::Reason;
use relay_ctl::address::Prefix;
use relay_ctl::kernel::Mode;

const CHILD: Child = Child { id: 0, nic: 1, ip: Ip::V4, ports: [5002, 5004] };
const PACKETS: u16 = 8_000;

#[test]
fn of_two_parents_on_two_cpus_each_packet_is_taken_once() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("two-cpus", mode, |kernel| {
            kernel.children(&[CHILD], &[]);
            let parents: [SocketAddr; 2] = [([10, 0, 1, 2], 4000).into(), ([10, 0, 1, 3], 4000).into()];
            let packet =
                |source, sequence| Datagram { source, ..media(Ip::V4, rtp(1, sequence, 60)) }.bytes();
            assert_eq!(kernel.run(&packet(parents[0], 0)).counted, []);
            let both = BTreeSet::from(parents.map(|parent| Prefix::from(parent.ip())));
            kernel.plane.take_from(&both, &both).unwrap();
            let packets =
                parents.map(|parent| (1..=PACKETS).map(|sequence| packet(parent, sequence)).collect());
            let counted = kernel.run_on_two_cpus(packets);
            let stream = kernel.plane.maps().streams.get(&key(VIDEO, 1), 0).unwrap();
            let wanted = [(Reason::Duplicate, u64::from(PACKETS))];
            assert_eq!(
                (&counted[..], stream.packets),
                (&wanted[..], u64::from(PACKETS) + 1),
                "{mode}: {stream:?}"
            );
            assert_eq!((stream.lost(), stream.restarts), (0, 0), "{mode}");
        });
    }
}
