//! What there must be for lost packets to be sent again: the last ones are kept, whoever wants to ask is told of gaps, and what comes
//! again is forwarded once, in xdp and tc alike.

use crate::support::frames::{Checksum, Datagram, TAG, rtcp, rtp};
use crate::support::wire::send_segments;
use crate::support::{AUDIO, Child, Ip, Kernel, VIDEO, key, media, with_kernel, with_kernel_of};
use node::media::Ssrc;
use node::repair::{History as _, Kept, StreamId};
use relay_common::layout::{Gap, KEPT};
use relay_common::reason::Reason;
use relay_common::stream::REACH;
use relay_ctl::kernel::{Constants, History, Mode};

const CHILD: Child = Child { id: 0, nic: 1, ip: Ip::V4, ports: [5002, 5004] };
const OF_IPV6: Child = Child { id: 1, nic: 1, ip: Ip::V6, ports: [5002, 5004] };
const NOBODYS: u32 = 9;
const FORWARDED: [(Reason, u64); 0] = [];

fn in_both(name: &str, history: u32, test: impl Fn(&mut Kernel<'_>) + Send + Sync) {
    in_both_with(name, Constants { history, ..Constants::default() }, test);
}

fn in_both_with(name: &str, constants: Constants, test: impl Fn(&mut Kernel<'_>) + Send + Sync) {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel_of(name, mode, constants, |kernel| {
            kernel.children(
                &[CHILD, OF_IPV6],
                &[(NOBODYS, &[]), (1, &[CHILD]), (2, &[CHILD]), (6, &[OF_IPV6])],
            );
            test(kernel);
        });
    }
}

/// A packet of 60 bytes with a timestamp.
fn stamped(ssrc: u32, sequence: u16, timestamp: u32) -> Datagram {
    let mut packet = media(Ip::V4, rtp(ssrc, sequence, 60));
    packet.payload[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet
}

fn packet(ssrc: u32, sequence: u16) -> Datagram {
    media(Ip::V4, rtp(ssrc, sequence, 60))
}

fn comes(kernel: &mut Kernel<'_>, packet: &Datagram) -> bool {
    let counted = kernel.run(&packet.bytes()).counted;
    assert!(counted.is_empty() || counted == [(Reason::Duplicate, 1)], "{counted:?}");
    counted.is_empty()
}

fn history(kernel: &Kernel<'_>) -> History {
    kernel.plane.history().unwrap().expect("it is on")
}

fn find(history: &mut History, port: u16, ssrc: u32, sequence: u16) -> Option<Kept> {
    history.find(&StreamId { port, ssrc: Ssrc(ssrc) }, sequence)
}

#[test]
fn what_has_come_is_not_forwarded_again() {
    in_both("again", 64, |kernel| {
        let table = [
            (1, true),
            (2, true),
            (2, false),
            (5, true),
            (1, false),
            (4, true),
            (3, true),
            (4, false),
            (6, true),
        ];
        for (sequence, is_new) in table {
            assert_eq!(comes(kernel, &packet(1, sequence)), is_new, "{sequence}");
        }
        let stream = kernel.plane.maps().streams.get(&key(VIDEO, 1), 0).unwrap();
        assert_eq!((stream.packets, stream.lost(), stream.reordered, stream.duplicates), (6, 0, 2, 3));
        // As far back as the window reaches, across the wrap.
        let first = 65_000_u16;
        for sequence in (0..1_500).filter(|number| *number != 500) {
            kernel.run_uncounted(&packet(2, first.wrapping_add(sequence)).bytes());
        }
        // Of what is too late it cannot be told.
        for (behind, is_new) in [(REACH, false), (1_400, false), (999, false), (1, false)] {
            let sequence = first.wrapping_add(1_499 - behind);
            assert_eq!(comes(kernel, &packet(2, sequence)), is_new, "{behind} behind");
        }
    });
}

#[test]
fn a_sender_that_begins_again_within_reach_is_forwarded_whole() {
    in_both("restart", 64, |kernel| {
        let first = (1_000..1_100).map(|sequence| stamped(1, sequence, 90 * u32::from(sequence)));
        let then =
            (1_050..1_200).map(|sequence| stamped(1, sequence, 0x8000_0000 + 90 * u32::from(sequence)));
        let mut history = history(kernel);
        for packet in first.chain(then) {
            assert!(comes(kernel, &packet), "{packet:?}");
            let sequence = u16::from_be_bytes([packet.payload[2], packet.payload[3]]);
            assert_eq!(find(&mut history, VIDEO, 1, sequence).unwrap().packet, packet.payload, "the latest");
        }
        let stream = kernel.plane.maps().streams.get(&key(VIDEO, 1), 0).unwrap();
        assert_eq!((stream.packets, stream.lost(), stream.duplicates, stream.restarts), (250, 0, 0, 1));
    });
}

#[test]
fn a_gap_is_told_once_and_only_of_a_stream_that_somebody_gets() {
    in_both("gaps", 64, |kernel| {
        let mut ring = kernel.plane.gaps().unwrap().unwrap();
        let mut told = |kernel: &mut Kernel<'_>, packets: &[Datagram]| {
            packets.iter().for_each(|packet| drop(kernel.run(&packet.bytes())));
            let gaps = ring.take();
            assert!(gaps.iter().all(|gap| gap.now > 0 && gap.reserved == 0));
            Vec::from_iter(gaps.into_iter().map(|Gap { key, first, count, .. }| (key, first, count)))
        };
        let of = |sequences: &[u16]| Vec::from_iter(sequences.iter().map(|sequence| packet(1, *sequence)));
        assert_eq!(told(kernel, &of(&[65_533, 65_534, 65_535])), []);
        assert_eq!(told(kernel, &of(&[3, 4, 0, 1])), [(key(VIDEO, 1), 65_536, 3)]);
        assert_eq!(told(kernel, &of(&[2, 2, 3, 4])), []);
        assert_eq!(told(kernel, &of(&[6, 9])), [(key(VIDEO, 1), 65_541, 1), (key(VIDEO, 1), 65_543, 2)]);
        // A stray packet and a restart are none.
        assert_eq!(told(kernel, &of(&[30_000, 10, 40_000, 40_001])), []);
        assert_eq!(told(kernel, &[packet(NOBODYS, 1), packet(NOBODYS, 5), packet(NOBODYS, 9)]), []);
        let audio = |sequence| {
            let mut packet = packet(2, sequence);
            packet.destination.set_port(AUDIO);
            packet
        };
        assert_eq!(told(kernel, &[audio(1), audio(3)]), [(key(AUDIO, 2), 2, 1)]);
    });
}

#[test]
fn more_gaps_than_there_is_room_for_are_counted() {
    in_both("many-gaps", 64, |kernel| {
        let mut ring = kernel.plane.gaps().unwrap().unwrap();
        // 32 bytes each in the ring.
        let (room, more) = ((256 << 10) / 32, 100);
        for sequence in (1..).step_by(2).take(room + more + 1) {
            kernel.run_uncounted(&packet(1, sequence as u16).bytes());
        }
        let told = std::iter::from_fn(|| Some(ring.take().len()).filter(|count| *count > 0)).sum::<usize>();
        let untold = history(kernel).untold() as usize;
        assert!(
            told + untold == room + more && (more..more + 2).contains(&untold),
            "{told} told, {untold} not"
        );
    });
}

/// Every form of packet that goes to children, and none that does not.
#[test]
fn what_goes_to_children_is_kept_as_it_came() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("kept", mode, |kernel| {
            kernel.mtu = 9_000;
            kernel.children(&[CHILD, OF_IPV6], &[(NOBODYS, &[]), (1, &[CHILD]), (6, &[OF_IPV6])]);
            let mut history = history(kernel);
            let mut sequence = 0;
            for (ip, ssrc) in [(Ip::V4, 1), (Ip::V6, 6)] {
                for (length, port) in [12, 13, 63, 64, 65, 120, 200, 1_001, 1_452, KEPT - 1, KEPT]
                    .into_iter()
                    .flat_map(|length| [(length, VIDEO), (length, AUDIO)])
                {
                    // A frame of the usual size has less room over IPv6.
                    let length = if ip == Ip::V6 { length.min(1_452) } else { length };
                    let mut forms = vec![media(ip, rtp(ssrc, sequence, length))];
                    if mode == Mode::Xdp {
                        forms.push(Datagram { tags: vec![TAG], ..forms[0].clone() });
                        forms.push(Datagram { checksum: Checksum::Partial, ..forms[0].clone() });
                    }
                    for mut packet in forms {
                        sequence += 1;
                        packet.destination.set_port(port);
                        let packet = Datagram { padding: 7, ..packet.numbered(sequence) };
                        let began = monotonic_ns();
                        assert_eq!(kernel.run(&packet.bytes()).counted, FORWARDED, "{packet:?}");
                        let kept = find(&mut history, port, ssrc, sequence).expect("it is kept");
                        assert_eq!(kept.packet, packet.payload);
                        assert!((began..monotonic_ns()).contains(&kept.came));
                        let other = if port == VIDEO { AUDIO } else { VIDEO };
                        assert_eq!(find(&mut history, other, ssrc, sequence), None);
                    }
                }
            }
            let kept = history.too_long();
            let long = media(Ip::V4, rtp(1, 1_000, KEPT + 1));
            // The interfaces of the ways out do not take it; whether they do is theirs to say.
            kernel.run(&long.bytes());
            assert_eq!((find(&mut history, VIDEO, 1, 1_000), history.too_long()), (None, kept + 1));
            // Refused, a report, for nobody.
            let refused = Datagram { ttl: 1, ..packet(1, 1_001) };
            for packet in [refused, media(Ip::V4, rtcp(1)), packet(NOBODYS, 1_002)] {
                kernel.run(&packet.bytes());
            }
            // A report has these at the places of an SSRC and a sequence number.
            for (ssrc, sequence) in [(1, 1_001), (0x3333_3333, 6), (NOBODYS, 1_002)] {
                assert_eq!(find(&mut history, VIDEO, ssrc, sequence), None, "{ssrc}, {sequence}");
            }
        });
    }
}

#[test]
fn a_history_that_has_come_round_has_the_last_packets() {
    in_both("round", 8, |kernel| {
        let mut history = history(kernel);
        for sequence in 0..100_u16 {
            let ssrc = 1 + u32::from(sequence % 2);
            assert!(comes(kernel, &packet(ssrc, sequence)));
            // Looked at rarely and often.
            if sequence % 13 < 3 {
                assert_eq!(
                    find(&mut history, VIDEO, ssrc, sequence).unwrap().packet,
                    packet(ssrc, sequence).payload
                );
            }
        }
        for sequence in 0..100_u16 {
            let ssrc = 1 + u32::from(sequence % 2);
            let kept = find(&mut history, VIDEO, ssrc, sequence).map(|kept| kept.packet);
            assert_eq!(kept, (sequence >= 92).then(|| packet(ssrc, sequence).payload), "{sequence}");
        }
    });
}

/// Gaps are told without a history, and packets kept without anybody who is told; what has come is not forwarded again in any case.
#[test]
fn each_of_history_and_gaps_is_there_without_the_other() {
    for (history, gaps) in [(0, false), (0, true), (64, false)] {
        in_both_with("off", Constants { history, gaps, ..Constants::default() }, |kernel| {
            let mut ring = kernel.plane.gaps().unwrap();
            let mut kept = kernel.plane.history().unwrap();
            assert_eq!((ring.is_some(), kept.is_some()), (gaps, gaps || history > 0));
            for (sequence, is_new) in [(1, true), (3, true), (3, false), (2, true), (1, false)] {
                assert_eq!(comes(kernel, &packet(1, sequence)), is_new, "{sequence}");
            }
            let told = ring.as_mut().map(|ring| ring.take().len());
            assert_eq!(told, gaps.then_some(1));
            let found = kept.as_mut().and_then(|kept| find(kept, VIDEO, 1, 2));
            assert_eq!(found.map(|kept| kept.packet), (history > 0).then(|| packet(1, 2).payload));
            assert!(kept.is_none_or(|kept| (kept.untold(), kept.too_long()) == (0, 0)));
        });
    }
}

/// Also as on processors that keep neither loads nor stores in order.
#[test]
fn two_cpus_share_a_history() {
    for in_order in [true, false] {
        share_a_history(Constants { history: 8_192, in_order, ..Constants::default() });
    }
}

fn share_a_history(constants: Constants) {
    const PACKETS: u16 = 4_000;
    in_both_with("cpus", constants, |kernel| {
        let mut history = history(kernel);
        let both = [1, 2].map(|ssrc| (0..PACKETS).map(|sequence| packet(ssrc, sequence).bytes()).collect());
        assert_eq!(kernel.run_on_two_cpus(both), FORWARDED);
        for (ssrc, sequence) in (0..PACKETS).flat_map(|sequence| [(1, sequence), (2, sequence)]) {
            let kept = find(&mut history, VIDEO, ssrc, sequence).map(|kept| kept.packet);
            assert_eq!(kept, Some(packet(ssrc, sequence).payload), "SSRC {ssrc}, {sequence}");
        }
    });
}

#[test]
fn each_packet_of_a_buffer_is_kept_and_its_gaps_are_told() {
    const SEGMENT: usize = 200;
    with_kernel("segments", Mode::Tc, |kernel| {
        kernel.children(&[CHILD], &[(NOBODYS, &[])]);
        kernel.plane.attach().unwrap();
        let (mut history, mut ring) = (history(kernel), kernel.plane.gaps().unwrap().unwrap());
        let together = |payloads: &[Vec<u8>]| Datagram {
            checksum: Checksum::Partial,
            ..media(Ip::V4, payloads.concat())
        };
        let mut packets: Vec<_> = [1, 2, 4, 7].map(|sequence| rtp(1, sequence, SEGMENT)).into();
        packets.push(rtp(2, 30, SEGMENT));
        packets.push(rtcp(1));
        send_segments(kernel.lab, &together(&packets), SEGMENT as u16);
        for (ssrc, sequence, at) in [(1, 1, 0), (1, 2, 1), (1, 4, 2), (1, 7, 3), (2, 30, 4)] {
            let kept = find(&mut history, VIDEO, ssrc, sequence).map(|kept| kept.packet);
            assert_eq!(kept.as_ref(), Some(&packets[at]), "SSRC {ssrc}, {sequence}");
        }
        assert_eq!(find(&mut history, VIDEO, 0x3333_3333, 6), None, "what a report has at these places");
        let gaps: Vec<_> = ring.take().into_iter().map(|gap| (gap.key, gap.first, gap.count)).collect();
        assert_eq!(gaps, [(key(VIDEO, 1), 3, 1), (key(VIDEO, 1), 5, 2)]);
        // The last is shorter; and nobody gets these.
        send_segments(kernel.lab, &together(&[rtp(1, 8, SEGMENT), rtp(1, 9, 90)]), SEGMENT as u16);
        assert_eq!(find(&mut history, VIDEO, 1, 9).unwrap().packet, rtp(1, 9, 90));
        let nobodys = [rtp(NOBODYS, 1, SEGMENT), rtp(NOBODYS, 5, SEGMENT)];
        send_segments(kernel.lab, &together(&nobodys), SEGMENT as u16);
        assert_eq!((find(&mut history, VIDEO, NOBODYS, 1), ring.take()), (None, Vec::new()));
    });
}

#[test]
fn a_report_in_a_buffer_takes_no_packets_place() {
    const SEGMENT: usize = 200;
    with_kernel_of("places", Mode::Tc, Constants { history: 4, ..Constants::default() }, |kernel| {
        kernel.children(&[CHILD], &[]);
        kernel.plane.attach().unwrap();
        let mut history = history(kernel);
        let mut packets: Vec<_> = (1..5).map(|sequence| rtp(1, sequence, SEGMENT)).collect();
        packets.push(rtcp(1));
        let together = Datagram { checksum: Checksum::Partial, ..media(Ip::V4, packets.concat()) };
        send_segments(kernel.lab, &together, SEGMENT as u16);
        for (sequence, packet) in (1..5).zip(&packets) {
            let kept = find(&mut history, VIDEO, 1, sequence).map(|kept| kept.packet);
            assert_eq!(kept.as_ref(), Some(packet), "{sequence}");
        }
    });
}

#[test]
fn a_new_daemon_begins_with_a_history_of_its_own() {
    in_both("daemons", 4_096, |kernel| {
        kernel.plane.attach().unwrap();
        let mut former = history(kernel);
        assert!(comes(kernel, &packet(1, 1)));
        kernel.take_over();
        let mut new = history(kernel);
        let mut ring = kernel.plane.gaps().unwrap().unwrap();
        assert!(comes(kernel, &packet(1, 3)) && !comes(kernel, &packet(1, 1)));
        assert_eq!([1, 3].map(|sequence| find(&mut former, VIDEO, 1, sequence).is_some()), [true, false]);
        assert_eq!([1, 3].map(|sequence| find(&mut new, VIDEO, 1, sequence).is_some()), [false, true]);
        assert_eq!(ring.take().len(), 1);
    });
}

fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}
