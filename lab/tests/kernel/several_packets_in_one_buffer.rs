//! A socket buffer that is several packets, as senders on virtual networks make them, is forwarded by tc as it is and counted
//! as its packets. Sent as frames to an attached program.

use std::collections::BTreeSet;

use crate::support::frames::{Checksum, Datagram, rtcp, rtp};
use crate::support::wire::{Tap, send_segments};
use crate::support::{Child, Ip, Kernel, VIDEO, key, media, with_kernel};
use relay_common::layout::ChildStats;
use relay_common::reason::Reason;
use relay_ctl::address::Prefix;
use relay_ctl::kernel::Mode;

const SEGMENT: usize = 200;

fn children(ip: Ip) -> [Child; 3] {
    [(0, 1), (1, 1), (2, 2)].map(|(id, nic)| Child { id, nic, ip, ports: [5002, 6004 + id as u16] })
}

/// One datagram with the payloads of all.
fn together(ip: Ip, payloads: &[Vec<u8>]) -> Datagram {
    Datagram { checksum: Checksum::Partial, ..media(ip, payloads.concat()) }
}

fn copies_of(packet: &Datagram, children: &[Child], nic: usize) -> Vec<Vec<u8>> {
    let behind = children.iter().filter(|child| child.nic == nic);
    behind.map(|child| child.copy_of(packet).bytes()).collect()
}

/// Packets, bytes, loss, reordering and duplicates of a stream.
fn stream(kernel: &Kernel<'_>, ssrc: u32) -> [u64; 5] {
    let stream = kernel.plane.maps().streams.get(&key(VIDEO, ssrc), 0).unwrap();
    [stream.packets, stream.bytes, stream.lost(), stream.reordered, stream.duplicates]
}

fn stats(kernel: &Kernel<'_>, children: &[Child]) -> Vec<ChildStats> {
    children.iter().map(|child| kernel.stats(child)).collect()
}

#[test]
fn a_buffer_goes_to_each_child_whole_and_counts_as_its_packets() {
    for ip in [Ip::V4, Ip::V6] {
        with_kernel("whole", Mode::Tc, |kernel| {
            let children = children(ip);
            kernel.children(&children, &[]);
            kernel.plane.attach().unwrap();
            let mut taps = [1, 2].map(|nic| Tap::open(kernel.lab, nic));
            // The fourth is missing; the last is shorter.
            let mut packets: Vec<_> = [0, 1, 2, 4, 5].map(|sequence| rtp(1, sequence, SEGMENT)).into();
            packets.push(rtp(1, 6, 90));
            let packet = together(ip, &packets);
            for times in 1..=2 {
                send_segments(kernel.lab, &packet, SEGMENT as u16);
                // The second time all of them have come.
                for (nic, tap) in (1..).zip(&mut taps).filter(|_| times == 1) {
                    let copies = copies_of(&packet, &children, nic);
                    assert_eq!(tap.take(copies.len()), copies, "{ip:?}, eth{nic}");
                }
                assert_eq!(taps.each_mut().map(|tap| tap.rest().len()), [0, 0]);
                let bytes = 5 * SEGMENT as u64 + 90;
                assert_eq!(stream(kernel, 1), [6, bytes, 1, 0, (times - 1) * 6]);
                assert_eq!(kernel.count(Reason::Duplicate), (times - 1) * 6);
                let expected = ChildStats { packets: 6, bytes, errors: 0, too_big: 0 };
                assert_eq!(stats(kernel, &children), [expected; 3]);
            }
        });
    }
}

#[test]
fn streams_and_rtcp_that_go_the_same_way_may_share_a_buffer() {
    with_kernel("shared", Mode::Tc, |kernel| {
        let children = children(Ip::V4);
        // Two streams with one set of their own, and others that go to all.
        kernel.children(&children, &[(7, &children[..1]), (8, &children[..1])]);
        kernel.plane.attach().unwrap();
        let mut tap = Tap::open(kernel.lab, 1);
        let mut check = |ssrcs: [u32; 2], report_of: u32, to: &[Child]| {
            let [one, two] = ssrcs.map(|ssrc| rtp(ssrc, 1, SEGMENT));
            let packet = together(Ip::V4, &[one, two, rtcp(report_of)]);
            send_segments(kernel.lab, &packet, SEGMENT as u16);
            let copies = copies_of(&packet, to, 1);
            assert_eq!(tap.take(copies.len()), copies);
            assert_eq!(tap.rest(), Vec::<Vec<u8>>::new());
            for ssrc in ssrcs {
                assert_eq!(stream(kernel, ssrc)[..2], [1, SEGMENT as u64], "SSRC {ssrc}");
            }
            assert_eq!(kernel.stream(VIDEO, report_of).unwrap(), (1, 1), "RTP, RTCP");
        };
        check([7, 8], 8, &children[..1]);
        check([3, 4], 3, &children);
        assert_eq!(kernel.stats(&children[0]).packets, 6);
        assert_eq!(kernel.stats(&children[1]).packets, 3);
    });
}

#[test]
fn packets_for_different_children_are_not_sent_to_either() {
    with_kernel("mixed", Mode::Tc, |kernel| {
        let children = children(Ip::V4);
        kernel.children(&children, &[(7, &children[..1])]);
        kernel.plane.attach().unwrap();
        let mut taps = [1, 2].map(|nic| Tap::open(kernel.lab, nic));
        let of = |ssrc, sequence| rtp(ssrc, sequence, SEGMENT);
        let buffers = [[of(7, 1), of(7, 2), of(1, 1)], [of(1, 2), of(7, 3), of(1, 3)]];
        for (times, payloads) in (1..).zip(buffers) {
            send_segments(kernel.lab, &together(Ip::V4, &payloads), SEGMENT as u16);
            assert_eq!(taps.each_mut().map(|tap| tap.rest().len()), [0, 0]);
            assert_eq!(kernel.count(Reason::MixedSegments), 3 * times);
        }
        assert_eq!(stats(kernel, &children), [ChildStats::default(); 3]);
        // They did come.
        assert_eq!(stream(kernel, 1), [3, 3 * SEGMENT as u64, 0, 0, 0]);
        assert_eq!(stream(kernel, 7), [3, 3 * SEGMENT as u64, 0, 0, 0]);
    });
}

/// Between two parents: what is new must not be lost for what has come, with which it is in one buffer.
#[test]
fn a_buffer_that_has_come_by_the_other_way_is_dropped_unless_some_of_it_is_new() {
    with_kernel("stale", Mode::Tc, |kernel| {
        let children = children(Ip::V4);
        kernel.children(&children, &[]);
        kernel.plane.attach().unwrap();
        let source = media(Ip::V4, Vec::new()).source.ip();
        let mut tap = Tap::open(kernel.lab, 1);
        let both = BTreeSet::from([Prefix::ANY]);
        kernel.plane.take_from(&both, &both).unwrap();
        let mut send = |port: u16, numbers: std::ops::Range<u16>, goes: bool| {
            let packets: Vec<_> = numbers.map(|sequence| rtp(1, sequence, SEGMENT)).collect();
            let packet = Datagram { source: (source, port).into(), ..together(Ip::V4, &packets) };
            send_segments(kernel.lab, &packet, SEGMENT as u16);
            let copies = if goes { copies_of(&packet, &children, 1) } else { Vec::new() };
            assert_eq!(tap.take(copies.len()), copies, "{packets:?}");
            assert_eq!(tap.rest(), Vec::<Vec<u8>>::new());
        };
        send(4000, 0..4, true);
        send(4002, 0..4, false);
        send(4002, 2..6, true);
        send(4000, 2..6, false);
        send(4000, 6..8, true);
        assert_eq!([Reason::Duplicate, Reason::RepeatedSegment].map(|why| kernel.count(why)), [8, 2]);
        assert_eq!(stream(kernel, 1), [8, 8 * SEGMENT as u64, 0, 0, 0]);
    });
}

/// It cannot be taken out of the buffer, and the media must not be lost for it.
#[test]
fn what_is_no_media_goes_along_with_it() {
    with_kernel("along", Mode::Tc, |kernel| {
        let children = children(Ip::V4);
        kernel.children(&children, &[]);
        kernel.plane.attach().unwrap();
        let mut tap = Tap::open(kernel.lab, 1);
        let of = |sequence| rtp(1, sequence, SEGMENT);
        let stun = vec![0; SEGMENT];
        for (times, payloads) in (1..).zip([
            [of(1), of(2), stun.clone()],
            [of(3), stun, of(4)],
            // Too short for RTP.
            [of(5), of(6), vec![0x80; 11]],
            [of(7), of(8), vec![0x80; 1]],
        ]) {
            let buffer = together(Ip::V4, &payloads);
            send_segments(kernel.lab, &buffer, SEGMENT as u16);
            let copies = copies_of(&buffer, &children, 1);
            assert_eq!(tap.take(copies.len()), copies);
            assert_eq!(kernel.count(Reason::ForeignSegment), times);
            assert_eq!(kernel.stats(&children[0]).packets, 3 * times);
        }
        assert_eq!(stream(kernel, 1), [8, 8 * SEGMENT as u64, 0, 0, 0]);
    });
}

#[test]
fn what_nobody_gets_is_counted_by_the_packet() {
    with_kernel("nobody", Mode::Tc, |kernel| {
        let children = children(Ip::V4);
        kernel.children(&children, &[(7, &[])]);
        kernel.plane.attach().unwrap();
        let mut tap = Tap::open(kernel.lab, 1);
        let packets = |ssrc| [1, 2, 3].map(|sequence| rtp(ssrc, sequence, SEGMENT));
        send_segments(kernel.lab, &together(Ip::V4, &packets(7)), SEGMENT as u16);
        assert_eq!(tap.rest(), Vec::<Vec<u8>>::new());
        assert_eq!(kernel.count(Reason::NoChildren), 3);
        assert_eq!(stream(kernel, 7), [3, 3 * SEGMENT as u64, 0, 0, 0]);
        // A child that is the sender misses all of them.
        let sender = Datagram { source: children[0].goal(VIDEO), ..together(Ip::V4, &packets(1)) };
        send_segments(kernel.lab, &sender, SEGMENT as u16);
        let copies = copies_of(&sender, &children[1..], 1);
        assert_eq!(tap.take(copies.len()), copies);
        assert_eq!(kernel.stats(&children[0]), ChildStats { packets: 0, bytes: 0, errors: 3, too_big: 0 });
        assert_eq!(kernel.count(Reason::ChildIsSender), 3);
    });
}
