//! As many streams as are promised, each counted by itself and some with children of their own; and more than that.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::frames::rtp;
use crate::support::{Child, Ip, Kernel, TC_REDIRECT, TC_SHOT, VIDEO, XDP_REDIRECT, key, media, with_kernel};
use relay_common::layout::MAX_STREAMS;
use relay_common::reason::Reason;
use relay_ctl::kernel::{self, Mode};

const STREAMS: u32 = 10_000;

const CHILDREN: [Child; 3] = [
    Child { id: 0, nic: 1, ip: Ip::V4, ports: [5002, 5004] },
    Child { id: 1, nic: 1, ip: Ip::V4, ports: [6002, 6004] },
    Child { id: 2, nic: 2, ip: Ip::V4, ports: [7002, 7004] },
];

/// By tc, the last child got a clone or the packet itself.
fn is_forwarded(verdict: u32, mode: Mode) -> bool {
    if mode == Mode::Xdp { verdict == XDP_REDIRECT } else { [TC_SHOT, TC_REDIRECT].contains(&verdict) }
}

/// A stream's SSRC; spread out, as real ones are.
fn ssrc(stream: u32) -> u32 {
    stream.wrapping_mul(2_654_435_761)
}

fn packet(stream: u32, sequence: u16) -> Vec<u8> {
    media(Ip::V4, rtp(ssrc(stream), sequence, 60)).bytes()
}

fn expected_packets(stream: u32) -> u64 {
    1 + u64::from(stream % 3)
}

fn count_all(kernel: &mut Kernel<'_>, mode: Mode) {
    for sequence in 0..3 {
        for stream in (0..STREAMS).filter(|stream| expected_packets(*stream) > sequence) {
            let ran = kernel.run_uncounted(&packet(stream, sequence as u16));
            assert!(is_forwarded(ran.verdict, mode), "stream {stream}");
        }
    }
    let streams: BTreeMap<_, _> = kernel::streams(kernel.plane.maps()).into_iter().collect();
    assert_eq!(streams.len(), STREAMS as usize);
    for stream in 0..STREAMS {
        let counted = &streams[&key(VIDEO, ssrc(stream))];
        assert_eq!((counted.packets, counted.lost()), (expected_packets(stream), 0), "stream {stream}");
    }
}

#[test]
fn ten_thousand_streams_are_counted_one_by_one() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("streams", mode, |kernel| {
            kernel.children(&CHILDREN[..1], &[]);
            count_all(kernel, mode);
        });
    }
}

#[test]
fn ten_thousand_streams_have_a_route_each() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("routes", mode, |kernel| {
            // Every subset of the three children, the empty one included, over and over.
            let subset = |stream: u32| (0..3).filter(|id| stream >> id & 1 == 1).collect::<BTreeSet<u32>>();
            let mut wanted = kernel.wanted(&CHILDREN);
            wanted.routes = (0..STREAMS).map(|stream| (key(VIDEO, ssrc(stream)), subset(stream))).collect();
            kernel.change(&wanted);
            let mut copies = [0u64; 3];
            for stream in 0..STREAMS {
                let ran = kernel.run_uncounted(&packet(stream, 1));
                let nobody = subset(stream).is_empty();
                // By tc, what has been forwarded ends like what is dropped.
                assert_eq!(ran.verdict == XDP_REDIRECT, !nobody && mode == Mode::Xdp, "stream {stream}");
                subset(stream).iter().for_each(|id| copies[*id as usize] += 1);
            }
            assert_eq!(kernel.count(Reason::NoChildren), u64::from(STREAMS.div_ceil(8)));
            if mode == Mode::Tc {
                assert_eq!(CHILDREN.map(|child| kernel.stats(&child).packets), copies);
            }
        });
    }
}

#[test]
fn a_full_table_of_streams_stops_no_media() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("full-table", mode, |kernel| {
            kernel.children(&CHILDREN[..1], &[]);
            for stream in 0..MAX_STREAMS {
                kernel.run_uncounted(&packet(stream, 1));
            }
            assert_eq!(kernel.count(Reason::StreamTableFull), 0);
            for extra in 0..5 {
                let ran = kernel.run(&packet(MAX_STREAMS + extra, 1));
                assert!(is_forwarded(ran.verdict, mode));
                assert_eq!(ran.counted, [(Reason::StreamTableFull, 1)]);
            }
            let ran = kernel.run(&packet(7, 2));
            assert!(ran.counted.is_empty(), "streams that are in the table are still counted");
            assert_eq!(kernel.stream(VIDEO, ssrc(7)), Some((2, 0)));
            assert_eq!(kernel::streams(kernel.plane.maps()).len(), MAX_STREAMS as usize);
            // Room is made when old streams are forgotten.
            kernel.plane.forget(&[key(VIDEO, ssrc(3))], [VIDEO - 2, VIDEO]).unwrap();
            assert!(kernel.run(&packet(MAX_STREAMS, 2)).counted.is_empty());
            assert_eq!(kernel.stream(VIDEO, ssrc(MAX_STREAMS)), Some((1, 0)));
        });
    }
}
