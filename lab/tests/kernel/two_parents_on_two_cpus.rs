//! Two parents' packets may come by two queues, and so on two CPUs at once: each is taken once all the same.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::support::frames::{Datagram, rtcp, rtp};
use crate::support::{Child, Ip, Kernel, VIDEO, key, media, with_kernel, with_kernel_of};
use relay_common::reason::Reason;
use relay_ctl::address::Prefix;
use relay_ctl::kernel::{Constants, Mode};

const CHILD: Child = Child { id: 0, nic: 1, ip: Ip::V4, ports: [5002, 5004] };
const PACKETS: u16 = 8_000;
const STREAMS: u32 = 4_000;
/// Longer than a stream is silent that goes on where it was.
const SILENCE: Duration = Duration::from_millis(600);

fn parents() -> [SocketAddr; 2] {
    [([10, 0, 1, 2], 4000).into(), ([10, 0, 1, 3], 4000).into()]
}

fn take_from_both(kernel: &mut Kernel<'_>) {
    let both = BTreeSet::from(parents().map(|parent| Prefix::from(parent.ip())));
    kernel.plane.take_from(&both, &both).unwrap();
}

/// One packet of each stream from either.
fn of_each_stream(payload: impl Fn(u32) -> Vec<u8>, port: u16) -> [Vec<Vec<u8>>; 2] {
    parents().map(|source| {
        let of = |ssrc| {
            let mut packet = Datagram { source, ..media(Ip::V4, payload(ssrc)) };
            packet.destination.set_port(port);
            packet.bytes()
        };
        (1..=STREAMS).map(of).collect()
    })
}

#[test]
fn what_begins_a_stream_or_begins_it_again_is_taken_once() {
    let twice = [(Reason::Duplicate, u64::from(STREAMS))];
    for (mode, in_order) in [Mode::Xdp, Mode::Tc].map(|mode| [(mode, true), (mode, false)]).concat() {
        let constants = Constants { in_order, ..Constants::default() };
        with_kernel_of("two-begin", mode, constants, |kernel| {
            kernel.children(&[CHILD], &[]);
            take_from_both(kernel);
            let all = |sequence| of_each_stream(|ssrc| rtp(ssrc, sequence, 60), VIDEO);
            assert_eq!(kernel.run_on_two_cpus(all(7)), twice, "{mode}: what comes first");
            std::thread::sleep(SILENCE);
            assert_eq!(kernel.run_on_two_cpus(all(40_000)), twice, "{mode}: after a silence");
            assert_eq!(kernel.run_on_two_cpus(all(40_001)), twice, "{mode}: and what follows");
            for ssrc in 1..=STREAMS {
                let stream = kernel.plane.maps().streams.get(&key(VIDEO, ssrc), 0).unwrap();
                assert_eq!((stream.packets, stream.lost(), stream.restarts), (3, 0, 1), "{mode}: {stream:?}");
            }
        });
        with_kernel_of("two-reports", mode, constants, |kernel| {
            kernel.children(&[CHILD], &[]);
            take_from_both(kernel);
            let reports = of_each_stream(rtcp, VIDEO + 1);
            assert_eq!(kernel.run_on_two_cpus(reports), twice, "{mode}: reports");
            let all = of_each_stream(|ssrc| rtp(ssrc, 40_000, 60), VIDEO);
            assert_eq!(kernel.run_on_two_cpus(all), twice, "{mode}: the first media");
        });
    }
}

/// One parent is a packet ahead: whoever of the two ends the silence, the numbers begin again once.
#[test]
fn a_silence_ends_once_whatever_number_ends_it() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("two-end", mode, |kernel| {
            kernel.children(&[CHILD], &[]);
            take_from_both(kernel);
            let of = |sequence| of_each_stream(|ssrc| rtp(ssrc, sequence, 60), VIDEO);
            kernel.run_on_two_cpus(of(7));
            std::thread::sleep(SILENCE);
            let [[one, other], [next_of_one, next_of_other]] = [of(40_000), of(40_001)];
            let by_turns = |first: Vec<Vec<u8>>, second: Vec<Vec<u8>>| {
                first.into_iter().zip(second).flat_map(|(first, second)| [first, second]).collect()
            };
            let both = [by_turns(one, next_of_one), by_turns(next_of_other, other)];
            assert_eq!(
                kernel.run_on_two_cpus(both),
                [(Reason::Duplicate, 2 * u64::from(STREAMS))],
                "{mode}: each once"
            );
            for ssrc in 1..=STREAMS {
                let stream = kernel.plane.maps().streams.get(&key(VIDEO, ssrc), 0).unwrap();
                assert_eq!((stream.packets, stream.restarts), (3, 1), "{mode}: {stream:?}");
            }
        });
    }
}

/// On another CPU the standby may be heard again at any time.
#[test]
fn it_is_looked_what_has_come_however_long_the_standby_is_silent() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("two-silent", mode, |kernel| {
            kernel.children(&[CHILD], &[]);
            take_from_both(kernel);
            let packet =
                |source, sequence| Datagram { source, ..media(Ip::V4, rtp(1, sequence, 60)) }.bytes();
            let [one, other] = parents();
            let run =
                |kernel: &mut Kernel<'_>, source, sequence| kernel.run(&packet(source, sequence)).counted;
            let once = |kernel: &Kernel<'_>| kernel.plane.maps().streams.get(&key(VIDEO, 1), 0).unwrap().once;
            assert_eq!((run(kernel, one, 1), once(kernel)), (vec![], 1), "from its first packet on");
            assert_eq!(run(kernel, other, 1), [(Reason::Duplicate, 1)]);
            let mut stream = kernel.plane.maps().streams.get(&key(VIDEO, 1), 0).unwrap();
            stream.other_seen = 0;
            kernel.plane.maps_mut().streams.insert(key(VIDEO, 1), stream, 0).unwrap();
            assert_eq!((run(kernel, one, 2), once(kernel)), (vec![], 1));
            assert_eq!(run(kernel, other, 2), [(Reason::Duplicate, 1)]);
            // Of one that is no parent any more nothing comes.
            let alone = BTreeSet::from([Prefix::from(one.ip())]);
            kernel.plane.take_from(&alone, &BTreeSet::new()).unwrap();
            stream.other_seen = 0;
            stream.highest = 2;
            kernel.plane.maps_mut().streams.insert(key(VIDEO, 1), stream, 0).unwrap();
            assert_eq!((run(kernel, one, 3), once(kernel)), (vec![], 0));
        });
    }
}

#[test]
fn of_two_parents_on_two_cpus_each_packet_is_taken_once() {
    // Also as on processors that keep neither loads nor stores in order.
    for (mode, in_order) in [Mode::Xdp, Mode::Tc].map(|mode| [(mode, true), (mode, false)]).concat() {
        with_kernel_of("two-cpus", mode, Constants { in_order, ..Constants::default() }, |kernel| {
            kernel.children(&[CHILD], &[]);
            let parents = parents();
            let packet =
                |source, sequence| Datagram { source, ..media(Ip::V4, rtp(1, sequence, 60)) }.bytes();
            assert_eq!(kernel.run(&packet(parents[0], 0)).counted, []);
            take_from_both(kernel);
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
