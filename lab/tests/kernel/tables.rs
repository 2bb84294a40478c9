//! Tables of {description, packet in, verdict, packet out, counter} for the ingress programs, run by the kernel itself
//! (`BPF_PROG_TEST_RUN`): every header form, and every reason that a packet can bring about.

use std::collections::BTreeSet;

use crate::support::frames::{Checksum, Datagram, rtcp, rtp};
use crate::support::rows::{
    Outcome, Row, SSRC_NOBODY, SSRC_V4, SSRC_V6, V4_CHILDREN, V6_CHILDREN, plain, table, to_port,
};
use crate::support::wire::Tap;
use crate::support::{
    AUDIO, Child, Ip, Kernel, MARK, Ran, TC_NEXT, TC_SHOT, VIDEO, XDP_DROP, XDP_PASS, XDP_REDIRECT, key,
    media, with_kernel,
};
use relay_common::layout::{self, SetWord, TOKEN_PORT_SHIFT, TOKEN_RTCP, TOKEN_V6, Token, half};
use relay_common::reason::{Fate, Reason};
use relay_common::rewrite;
use relay_ctl::kernel::Mode;

/// Children and routes that the tables count on.
fn populate(kernel: &mut Kernel<'_>) {
    // The table has one packet that is longer than usual.
    kernel.mtu = 9_000;
    kernel.children(
        &[V4_CHILDREN, V6_CHILDREN].concat(),
        &[(SSRC_V4, &V4_CHILDREN), (SSRC_V6, &V6_CHILDREN), (SSRC_NOBODY, &[])],
    );
}

fn children_of(datagram: &Datagram) -> [Child; 2] {
    if datagram.source.is_ipv4() { V4_CHILDREN } else { V6_CHILDREN }
}

/// A refused packet is counted once, and comes out as it went in.
fn check_refused(what: &str, packet: &[u8], reason: Reason, ran: &Ran, mode: Mode) {
    let verdict = match (mode, reason.fate()) {
        (Mode::Xdp, Fate::Stack) => XDP_PASS,
        (Mode::Xdp, _) => XDP_DROP,
        (_, Fate::Stack) => TC_NEXT,
        (_, _) => TC_SHOT,
    };
    assert_eq!(ran.counted, [(reason, 1)], "{what}");
    assert_eq!(ran.verdict, verdict, "{what}");
    assert_eq!(ran.packet, packet, "{what}: the packet was touched");
    assert!(ran.metadata.is_empty(), "{what}");
    if mode == Mode::Tc {
        assert_eq!(ran.mark, MARK, "{what}");
    }
}

/// What all copies have in common: as the XDP program leaves the packet.
fn normalised(datagram: &Datagram) -> Datagram {
    let mut source = datagram.source;
    source.set_port(datagram.destination.port());
    let checksum = match datagram.checksum {
        Checksum::Partial => Checksum::Right,
        checksum => checksum,
    };
    let plain = Datagram { source, ttl: datagram.ttl - 1, tags: Vec::new(), checksum, ..datagram.clone() };
    plain.trimmed()
}

/// What the XDP program leaves is open: its checksums lack what differs between the copies. Closed for the very address
/// that it came to, it is what [`normalised`] says.
fn closed(packet: &[u8], datagram: &Datagram) -> Vec<u8> {
    let (source, destination) = (datagram.source.ip(), datagram.destination.ip());
    let (from, to) = (relay_ctl::address::mapped(source), relay_ctl::address::mapped(destination));
    let child = layout::Child {
        destination_mac: datagram.destination_mac,
        source_mac: datagram.source_mac,
        ethertype: if source.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] },
        mtu: 1500,
        source: from,
        destination: to,
        ports: [0; 2],
        address_sum: rewrite::address_sum(&from, &to, source.is_ipv4()),
        ifindex: 0,
        counter: 0,
    };
    let mut packet = packet.to_vec();
    let port = datagram.destination.port();
    match source.is_ipv4() {
        true => rewrite::close_v4(packet.first_chunk_mut().unwrap(), &child, port),
        false => rewrite::close_v6(packet.first_chunk_mut().unwrap(), &child, port),
    }
    packet
}

fn check_token(what: &str, kernel: &Kernel<'_>, datagram: &Datagram, packet: &[u8], serial: &mut u32) {
    let token = Token::read(packet.first_chunk().unwrap()).unwrap();
    let port = datagram.destination.port();
    let (pair, kind) = if port < VIDEO { (AUDIO, 0) } else { (VIDEO, 1) };
    let ssrc = if datagram.source.is_ipv4() { SSRC_V4 } else { SSRC_V6 };
    let set = kernel.plane.maps().routes.get(&key(pair, ssrc), 0).unwrap();
    let half = half(set, !datagram.source.is_ipv4());
    let instance = kernel.plane.maps().sets.get(&half, 0).unwrap().instance();
    let mut flags = kind | u32::from(datagram.source.port()) << TOKEN_PORT_SHIFT;
    if port != pair {
        flags |= TOKEN_RTCP;
    }
    if !datagram.source.is_ipv4() {
        flags |= TOKEN_V6;
    }
    assert_eq!((token.flags, token.instance()), (flags, instance), "{what}");
    let this = (token.packet >> 32) as u32;
    assert_ne!(this, *serial, "{what}: each packet has a serial of its own");
    *serial = this;
}

#[test]
fn every_packet_in_the_table_leaves_the_xdp_program_as_it_should() {
    with_kernel("table", Mode::Xdp, |kernel| {
        populate(kernel);
        let mut serial = 0;
        for Row { what, packet, outcome } in table(Mode::Xdp) {
            let ran = kernel.run(&packet);
            match outcome {
                Outcome::Refused(reason) => check_refused(&what, &packet, reason, &ran, Mode::Xdp),
                Outcome::Copied(datagram) => {
                    assert_eq!((ran.verdict, &ran.counted[..]), (XDP_REDIRECT, &[][..]), "{what}");
                    assert_eq!(closed(&ran.packet, &datagram), normalised(&datagram).bytes(), "{what}");
                    check_token(&what, kernel, &datagram, &ran.packet, &mut serial);
                }
            }
        }
    });
}

#[test]
fn every_packet_in_the_table_leaves_the_tc_program_as_it_should() {
    with_kernel("table", Mode::Tc, |kernel| {
        populate(kernel);
        let mut tap = Tap::open(kernel.lab, 1);
        for Row { what, packet, outcome } in table(Mode::Tc) {
            let before = children_of_outcome(&outcome).map(|child| kernel.stats(&child));
            let ran = kernel.run(&packet);
            match outcome {
                Outcome::Refused(reason) => check_refused(&what, &packet, reason, &ran, Mode::Tc),
                Outcome::Copied(datagram) => {
                    // A copy is a new frame, without what the old one had behind its packet.
                    let datagram = Datagram { padding: 0, ..datagram };
                    let [first, last] = children_of(&datagram);
                    assert_eq!((ran.verdict, &ran.counted[..]), (TC_SHOT, &[][..]), "{what}");
                    assert_eq!(ran.mark, 0, "{what}: the mark must not steer the copies");
                    assert_eq!(
                        tap.take(1),
                        [first.copy_of(&datagram).bytes()],
                        "{what}: the first child's copy"
                    );
                    assert_eq!(ran.packet, last.copy_of(&datagram).bytes(), "{what}: the last child's copy");
                    for (child, before) in [first, last].into_iter().zip(before) {
                        let after = kernel.stats(&child);
                        assert_eq!(after.packets, before.packets + 1, "{what}");
                        assert_eq!(after.bytes, before.bytes + datagram.payload.len() as u64, "{what}");
                        assert_eq!(after.errors, 0, "{what}");
                    }
                }
            }
        }
        assert_eq!(tap.rest(), Vec::<Vec<u8>>::new(), "no copy that no row speaks of");
    });
}

fn children_of_outcome(outcome: &Outcome) -> [Child; 2] {
    match outcome {
        Outcome::Copied(datagram) => children_of(datagram),
        Outcome::Refused(_) => V4_CHILDREN,
    }
}

#[test]
fn streams_are_counted_by_what_the_packets_say() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("stats", mode, |kernel| {
            populate(kernel);
            let before_rtp = to_port(VIDEO + 1, media(Ip::V4, rtcp(SSRC_V4)));
            kernel.run(&before_rtp.bytes());
            assert_eq!(kernel.stream(VIDEO, SSRC_V4), Some((0, 1)), "forwarded, and so counted");
            for sequence in [1, 2, 3, 7, 7] {
                kernel.run(&media(Ip::V4, rtp(SSRC_V4, sequence, 100)).bytes());
            }
            kernel.run(&to_port(VIDEO + 1, media(Ip::V4, rtcp(SSRC_V4))).bytes());
            kernel.run(&media(Ip::V4, rtcp(SSRC_V4)).bytes());
            kernel.run(&to_port(AUDIO, media(Ip::V4, rtp(SSRC_V4, 1, 50))).bytes());
            // For nobody, but seen all the same.
            kernel.run(&media(Ip::V4, rtp(SSRC_NOBODY, 1, 100)).bytes());
            // Never the relay's: not counted.
            kernel.run(&Datagram { ttl: 1, ..media(Ip::V4, rtp(55, 1, 100)) }.bytes());
            assert_eq!(
                kernel.stream(VIDEO, SSRC_V4),
                Some((4, 3)),
                "the port pair's stream, RTCP on both ports"
            );
            assert_eq!(
                kernel.stream(AUDIO, SSRC_V4),
                Some((1, 0)),
                "the same SSRC on another port is another stream"
            );
            assert_eq!(kernel.stream(VIDEO, SSRC_NOBODY), Some((1, 0)));
            assert_eq!(kernel.stream(VIDEO, 55), None);
            let stream = kernel.plane.maps().streams.get(&key(VIDEO, SSRC_V4), 0).unwrap();
            assert_eq!((stream.lost(), stream.duplicates, stream.bytes), (3, 1, 400));
            let source = media(Ip::V4, vec![]).source;
            assert_eq!(stream.source[12..], [10, 0, 1, 2]);
            assert_eq!(stream.source_port, source.port());
            assert!(stream.first_seen > 0 && stream.last_seen > stream.first_seen);
        });
    }
}

/// Recycled frames and other programs' redirects come with metadata, which is nothing to the relay.
#[test]
fn metadata_of_other_programs_stays_as_it_is() {
    with_kernel("metadata", Mode::Xdp, |kernel| {
        populate(kernel);
        for length in (0..=32).step_by(4) {
            let datagram = plain(Ip::V4).numbered(length as u16);
            let ran = kernel.run_xdp(&datagram.bytes(), &vec![0xaa; length]);
            assert_eq!((ran.verdict, ran.metadata), (XDP_REDIRECT, vec![0xaa; length]));
            assert_eq!(
                closed(&ran.packet, &datagram),
                normalised(&datagram).bytes(),
                "{length} bytes of metadata"
            );
            let refused = to_port(1, plain(Ip::V4)).bytes();
            let ran = kernel.run_xdp(&refused, &vec![0xaa; length]);
            assert_eq!((ran.verdict, ran.packet), (XDP_PASS, refused));
            assert_eq!(ran.metadata, vec![0xaa; length]);
        }
    });
}

/// A port's listener says whether any of its streams has a route; what writes listeners must not forget it.
#[test]
fn routes_hold_while_listeners_are_written_again() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("listen", mode, |kernel| {
            let nobody = media(Ip::V4, rtp(SSRC_NOBODY, 1, 50));
            let routed = |kernel: &mut Kernel<'_>| {
                let packet = kernel.fresh(&nobody);
                kernel.run(&packet.bytes()).counted == [(Reason::NoChildren, 1)]
            };
            kernel.children(&V4_CHILDREN, &[]);
            assert!(!routed(kernel));
            kernel.plane.attach().unwrap();
            for _ in 0..2 {
                populate(kernel);
                assert!(routed(kernel));
                kernel.listen();
                assert!(routed(kernel), "after the listeners were written again");
                kernel.take_over();
                assert!(routed(kernel), "after another daemon took over");
                kernel.children(&V4_CHILDREN, &[]);
                assert!(!routed(kernel));
            }
        });
    }
}

#[test]
fn a_set_that_was_never_finished_drops_its_packets() {
    for (mode, verdict) in [(Mode::Xdp, XDP_DROP), (Mode::Tc, TC_SHOT)] {
        with_kernel("unfinished", mode, |kernel| {
            populate(kernel);
            // An instance without a devmap, and for tc one that cannot be.
            let instance = if mode == Mode::Xdp { 4_000 } else { 5_000 };
            let set = kernel.plane.maps().routes.get(&key(VIDEO, SSRC_V4), 0).unwrap();
            kernel.plane.maps_mut().sets.set(half(set, false), SetWord::new(instance, 1500, 0), 0).unwrap();
            let packet = plain(Ip::V4).bytes();
            let ran = kernel.run(&packet);
            assert_eq!((ran.verdict, &ran.counted[..]), (verdict, &[(Reason::NoFanoutSet, 1)][..]));
            assert_eq!(ran.packet, packet);
            // Other streams' sets are none the worse.
            assert!(kernel.run(&plain(Ip::V6).bytes()).counted.is_empty());
        });
    }
}

/// (reason, file, test): what no packet alone can bring about.
const ELSEWHERE: [(Reason, &str, &str); 16] = [
    (Reason::NoFanoutSet, "kernel/tables.rs", "a_set_that_was_never_finished_drops_its_packets"),
    (
        Reason::CopyWithoutToken,
        "kernel/copies_by_xdp.rs",
        "a_copy_that_another_program_redirected_is_dropped",
    ),
    (Reason::CopyWithoutChild, "kernel/copies_by_xdp.rs", "more_copies_than_children_are_dropped"),
    (Reason::CopyNotMade, "kernel/copies_by_xdp.rs", "copies_that_the_kernel_did_not_make_are_counted"),
    (Reason::ChildIsSender, "kernel/copies_by_xdp.rs", "the_sender_gets_no_copy_of_its_own_packet"),
    (Reason::OtherFamily, "kernel/copies_by_xdp.rs", "children_of_the_other_ip_version_are_left_out"),
    (Reason::Stranger, "kernel/who_may_send.rs", "media_is_taken_from_the_sources_only"),
    (Reason::SsrcCollision, "kernel/who_may_send.rs", "of_two_live_senders_the_first_is_kept"),
    (Reason::Duplicate, "kernel/lost_packets_are_sent_again.rs", "what_has_come_is_not_forwarded_again"),
    (Reason::TooBig, "kernel/copies_that_do_not_fit.rs", "a_copy_that_does_not_fit_is_charged_to_its_child"),
    (Reason::EgressRefused, "kernel/copies_by_xdp.rs", "what_a_driver_refuses_is_counted_for_its_child"),
    (Reason::StreamTableFull, "kernel/ten_thousand_streams.rs", "a_full_table_of_streams_stops_no_media"),
    (
        Reason::ForeignSegment,
        "kernel/several_packets_in_one_buffer.rs",
        "what_is_no_media_goes_along_with_it",
    ),
    (
        Reason::RepeatedSegment,
        "kernel/several_packets_in_one_buffer.rs",
        "a_buffer_that_has_come_by_the_other_way_is_dropped_unless_some_of_it_is_new",
    ),
    (
        Reason::MixedSegments,
        "kernel/several_packets_in_one_buffer.rs",
        "packets_for_different_children_are_not_sent_to_either",
    ),
    (Reason::CpuBusy, "net/streams_are_spread_over_cpus.rs", "what_finds_its_cpu_s_queue_full_is_counted"),
];

/// What cannot be brought about here at all.
const NOWHERE: [(Reason, &str); 1] = [(Reason::NotWritable, "needs a failed allocation in the kernel")];

#[test]
fn every_reason_has_a_name_of_its_own_and_a_test() {
    let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for (index, reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, index, "{} is its own index in DROPS", reason.name());
    }
    for mode in [Mode::Xdp, Mode::Tc] {
        let rows = table(mode);
        for reason in Reason::ALL {
            let in_table =
                rows.iter().any(|row| matches!(row.outcome, Outcome::Refused(refused) if refused == *reason));
            let elsewhere = ELSEWHERE.iter().any(|(known, ..)| known == reason);
            let nowhere = NOWHERE.iter().any(|(known, _)| known == reason);
            assert_eq!(
                [in_table, elsewhere, nowhere].iter().filter(|there| **there).count(),
                1,
                "{mode}: {} has a row in the table or a place in a list",
                reason.name()
            );
        }
    }
    for (reason, file, test) in ELSEWHERE {
        let path = format!("{}/tests/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&format!("fn {test}()")), "{} has no test {test} in {file}", reason.name());
    }
}
