//! Who may send what, in the kernel's data planes: sources that media is taken from, one source a stream (RFC 3550 section
//! 8.2), and RTCP only from where the stream comes from.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::support::frames::{Datagram, rtcp, rtp};
use crate::support::{Child, Ip, Kernel, VIDEO, key, media, with_kernel};
use relay_common::reason::Reason;
use relay_ctl::address::Prefix;
use relay_ctl::kernel::Mode;

const CHILD: Child = Child { id: 0, nic: 1, ip: Ip::V4, ports: [5002, 5004] };
const FORWARDED: [(Reason, u64); 0] = [];

fn in_both(name: &str, test: impl Fn(&mut Kernel<'_>) + Send + Sync) {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel(name, mode, |kernel| {
            kernel.children(&[CHILD], &[]);
            test(kernel);
        });
    }
}

fn from(source: &str, ssrc: u32, sequence: u16) -> Vec<u8> {
    let source: SocketAddr = source.parse().unwrap();
    Datagram { source, ..media(Ip::V4, rtp(ssrc, sequence, 60)) }.bytes()
}

fn prefix(address: &str, length: u32) -> Prefix {
    let address: IpAddr = address.parse().unwrap();
    Prefix { length: 96 + length, address: relay_ctl::address::mapped(address) }
}

/// Where the relay thinks that a stream comes from.
fn source(kernel: &Kernel<'_>, ssrc: u32) -> SocketAddr {
    let stream = kernel.plane.maps().streams.get(&key(VIDEO, ssrc), 0).unwrap();
    (relay_ctl::address::unmapped(stream.source), stream.source_port).into()
}

#[test]
fn media_is_taken_from_the_sources_only() {
    in_both("sources", |kernel| {
        assert_eq!(kernel.run(&from("10.0.1.2:4000", 1, 1)).counted, FORWARDED, "from anywhere at first");
        let sources = BTreeSet::from([prefix("10.0.1.4", 32), prefix("10.9.0.0", 16)]);
        kernel.plane.take_from(&sources, &BTreeSet::new()).unwrap();
        let table = [
            ("10.0.1.2:4000", 1, Some(Reason::Stranger)),
            ("10.0.1.2:4000", 2, Some(Reason::Stranger)),
            ("10.0.1.4:4000", 3, None),
            ("10.0.1.5:4000", 4, Some(Reason::Stranger)),
            ("10.9.200.1:4000", 5, None),
        ];
        for (source, ssrc, reason) in table {
            let ran = kernel.run(&from(source, ssrc, 2));
            assert_eq!(ran.counted, Vec::from_iter(reason.map(|reason| (reason, 1))), "{source}");
            assert_eq!(kernel.stream(VIDEO, ssrc).is_some(), ssrc == 1 || reason.is_none(), "{source}");
        }
        kernel.plane.take_from(&BTreeSet::from([Prefix::ANY]), &BTreeSet::new()).unwrap();
        assert_eq!(kernel.run(&from("10.0.1.2:4000", 1, 3)).counted, FORWARDED, "from anywhere again");
    });
}

#[test]
fn a_stream_follows_its_sender() {
    in_both("follow", |kernel| {
        assert_eq!(kernel.run(&from("10.0.1.2:4000", 1, 1)).counted, FORWARDED);
        for (moved, sequence) in [("10.0.1.2:4002", 2), ("10.0.1.3:4002", 3)] {
            assert_eq!(kernel.run(&from(moved, 1, sequence)).counted, FORWARDED, "{moved}");
            assert_eq!(source(kernel, 1), moved.parse().unwrap());
        }
        let packet = media(Ip::V4, rtcp(1));
        let refused = kernel.run(&packet.bytes());
        assert_eq!(refused.counted, [(Reason::SsrcCollision, 1)], "RTCP from where it came from before");
    });
}

#[test]
fn of_two_live_senders_the_first_is_kept() {
    in_both("rivals", |kernel| {
        for count in 0..20 {
            let first = kernel.run(&from("10.0.1.2:4000", 1, count));
            assert_eq!(first.counted, FORWARDED, "packet {count}");
            let rival = kernel.run(&from("10.0.1.3:4000", 1, 30_000 + count));
            assert_eq!(rival.counted, [(Reason::SsrcCollision, 1)], "packet {count}");
        }
        assert_eq!(source(kernel, 1), "10.0.1.2:4000".parse().unwrap());
        assert_eq!(kernel.stream(VIDEO, 1), Some((20, 0)));
    });
}

/// From a former parent and from the new one: whichever way a packet comes first.
#[test]
fn of_two_parents_each_packet_is_taken_once() {
    in_both("twins", |kernel| {
        let (former, new) = ("10.0.1.2:4000", "10.0.1.3:4000");
        let both = BTreeSet::from([prefix("10.0.1.2", 32), prefix("10.0.1.3", 32)]);
        let come = |kernel: &mut Kernel<'_>, source, sequence, is_new: bool| {
            let wanted = if is_new { vec![] } else { vec![(Reason::Duplicate, 1)] };
            assert_eq!(kernel.run(&from(source, 1, sequence)).counted, wanted, "{sequence} from {source}");
        };
        for sequence in 0..300 {
            come(kernel, former, sequence, true);
        }
        kernel.plane.take_from(&both, &both).unwrap();
        // The new one is behind, loses some, comes to be ahead, and falls back.
        for sequence in 290..300 {
            come(kernel, new, sequence, false);
        }
        come(kernel, new, 300, true);
        come(kernel, new, 305, true);
        for sequence in 300..310 {
            come(kernel, former, sequence, ![300, 305].contains(&sequence));
        }
        for sequence in (306..310).chain([0]) {
            come(kernel, new, sequence, false);
        }
        for sequence in 310..500 {
            come(kernel, new, sequence, true);
            come(kernel, former, sequence - 10, false);
        }
        assert_eq!(source(kernel, 1), former.parse().unwrap(), "it keeps up");
        // The former one is none any more.
        kernel.plane.take_from(&BTreeSet::from([prefix("10.0.1.3", 32)]), &BTreeSet::new()).unwrap();
        assert_eq!(kernel.run(&from(former, 1, 500)).counted, [(Reason::Stranger, 1)]);
        come(kernel, new, 500, true);
        come(kernel, new, 500, false);
        assert_eq!(source(kernel, 1), new.parse().unwrap());
        assert_eq!((kernel.stream(VIDEO, 1), kernel.stream_lost(VIDEO, 1)), (Some((501, 0)), 0));
    });
}

#[test]
fn a_second_parents_reports_are_what_has_come() {
    in_both("twins-rtcp", |kernel| {
        let [former, new] = ["10.0.1.2", "10.0.1.3"].map(|address| prefix(address, 32));
        let report = |source: &str| {
            let source = source.parse().unwrap();
            Datagram { source, ..media(Ip::V4, rtcp(1)) }.bytes()
        };
        let (one, two) = (report("10.0.1.2:4001"), report("10.0.1.3:4001"));
        assert_eq!(kernel.run(&from("10.0.1.2:4000", 1, 1)).counted, FORWARDED);
        kernel.plane.take_from(&BTreeSet::from([former, new]), &BTreeSet::from([former, new])).unwrap();
        assert_eq!(kernel.run(&one).counted, FORWARDED);
        assert_eq!(kernel.run(&two).counted, [(Reason::Duplicate, 1)]);
        kernel.plane.take_from(&BTreeSet::from([former, new]), &BTreeSet::new()).unwrap();
        assert_eq!(kernel.run(&two).counted, [(Reason::SsrcCollision, 1)]);
        // The former one is none any more, and no packet of the stream has come from the new one yet.
        kernel.plane.take_from(&BTreeSet::from([new]), &BTreeSet::new()).unwrap();
        assert_eq!(kernel.run(&one).counted, [(Reason::Stranger, 1)]);
        assert_eq!(kernel.run(&two).counted, FORWARDED);
        assert_eq!(kernel.run(&from("10.0.1.3:4000", 1, 2)).counted, FORWARDED);
        assert_eq!(kernel.run(&one).counted, [(Reason::Stranger, 1)]);
    });
}

#[test]
fn a_packet_that_has_gone_round_is_not_forwarded_again() {
    in_both("loop", |kernel| {
        assert_eq!(kernel.run(&from("10.0.1.2:4000", 1, 1)).counted, FORWARDED);
        assert_eq!(kernel.run(&from("10.0.1.3:5004", 1, 1)).counted, [(Reason::SsrcCollision, 1)]);
    });
}

#[test]
fn rtcp_that_comes_before_its_stream_is_counted_with_it() {
    in_both("rtcp-first", |kernel| {
        let report = media(Ip::V4, rtcp(1)).bytes();
        assert_eq!(kernel.run(&report).counted, FORWARDED);
        assert_eq!(kernel.stream(VIDEO, 1), Some((0, 1)));
        assert_eq!(kernel.run(&from("10.0.1.2:4000", 1, 1)).counted, FORWARDED);
        assert_eq!(kernel.stream(VIDEO, 1), Some((1, 1)));
        assert_eq!(kernel.stream_lost(VIDEO, 1), 0);
    });
}

#[test]
fn a_change_of_children_does_not_make_strangers_of_senders() {
    in_both("change", |kernel| {
        for sequence in 0..10 {
            assert_eq!(kernel.run(&from("10.0.1.2:4000", 1, sequence)).counted, FORWARDED);
            let ports = [6002 + 2 * sequence, 7002 + 2 * sequence];
            kernel.children(&[Child { ports, ..CHILD }], &[]);
        }
        assert_eq!(kernel.stream(VIDEO, 1), Some((10, 0)));
    });
}
