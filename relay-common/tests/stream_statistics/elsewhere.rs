//! A stream follows its sender, and knows a loop or a second sender when it meets one (RFC 3550 section 8.2).

use super::{GAP, arrival, received, summary};
use relay_common::stream::Elsewhere::{Collision, Moved, Repeated, Taken};
use relay_common::stream::{Elsewhere, Standing, Stream};

const HERE: ([u8; 16], u16) = ([1; 16], 4_000);
const THERE: ([u8; 16], u16) = ([2; 16], 4_000);
const MS: u64 = 1_000_000;

/// Packets 100 to 109, and when the last of them came.
fn stream() -> (Stream, u64) {
    let stream = received(100..110);
    (stream, 5_000 + 9 * GAP)
}

/// A packet from some source, as the data planes take it.
fn taken(
    stream: &mut Stream,
    (address, port): ([u8; 16], u16),
    sequence: u16,
    now: u64,
    standing: Standing,
) -> Elsewhere {
    let packet = arrival(sequence, 0, now);
    if stream.is_from(&address, port) {
        if stream.once != 0 {
            return stream.take_once(&address, port, packet, Standing::Own);
        }
        return if stream.update(packet) { Moved } else { Repeated };
    }
    match standing {
        Standing::Apart => stream.elsewhere(&address, port, packet),
        _ => stream.take_once(&address, port, packet, standing),
    }
}

/// The two sources have nothing to do with each other.
fn from(stream: &mut Stream, source: ([u8; 16], u16), sequence: u16, now: u64) -> Elsewhere {
    taken(stream, source, sequence, now, Standing::Apart)
}

/// Media is not taken from the stream's own source any more.
fn instead(stream: &mut Stream, source: ([u8; 16], u16), sequence: u16, now: u64) -> Elsewhere {
    taken(stream, source, sequence, now, Standing::Gone)
}

/// Another parent sends the same, by a longer or a shorter way: every packet once, whatever came of the former one.
#[test]
fn a_source_that_is_none_any_more_is_replaced_and_no_packet_counts_twice() {
    for behind in (0..60).chain([127, 128, 129, 150, 199]) {
        let (mut stream, now) = stream_of(200);
        for sequence in 300 - behind..300 {
            assert_eq!(instead(&mut stream, THERE, sequence, now + MS), Repeated, "{sequence} has come");
        }
        for sequence in 300..320 {
            assert_ne!(instead(&mut stream, THERE, sequence, now + MS), Repeated, "{behind} behind");
        }
        assert!(stream.is_from(&THERE.0, THERE.1));
        assert_eq!((stream.packets, stream.lost(), stream.restarts), (220, 0, 0));
        // And what changed places on the new way.
        assert_eq!(instead(&mut stream, THERE, 298, now + MS), Repeated);
    }
    // What the former one had lost is taken.
    let (mut stream, now) = stream_of(200);
    assert_eq!(from(&mut stream, HERE, 302, now), Moved);
    assert_eq!(instead(&mut stream, THERE, 299, now), Repeated);
    assert_eq!(instead(&mut stream, THERE, 300, now), Taken);
    assert_eq!(instead(&mut stream, THERE, 301, now), Taken);
    assert_eq!(instead(&mut stream, THERE, 302, now), Repeated);
    assert_eq!(instead(&mut stream, THERE, 303, now), Moved);
    assert_eq!((stream.packets, stream.lost()), (204, 0));
}

#[test]
fn who_replaces_a_source_may_begin_anywhere_and_was_no_rival() {
    let (mut stream, now) = stream_of(100);
    assert_eq!(from(&mut stream, THERE, 199, now), Collision);
    // On the same timeline, and too far behind to tell whether it has come, while what is new comes.
    assert_eq!(instead(&mut stream, THERE, 40_000, now), Repeated);
    let now = now + 501 * MS;
    assert_eq!(instead(&mut stream, THERE, 40_000, now), Moved);
    assert_eq!(instead(&mut stream, THERE, 40_001, now), Taken);
    assert_eq!((stream.restarts, stream.lost()), (1, 0));
}

/// Another sender has numbers and timestamps of its own, and so has one that was started anew.
#[test]
fn who_replaces_a_source_on_another_timeline_is_followed_at_once_and_so_is_what_it_begins() {
    let (mut stream, now) = stream_of(200);
    let mut come = |sequence, timestamp: u32| {
        let packet = arrival(sequence, timestamp, now + MS);
        match stream.is_from(&THERE.0, THERE.1) {
            false => stream.take_once(&THERE.0, THERE.1, packet, Standing::Gone),
            true => stream.take_once(&THERE.0, THERE.1, packet, Standing::Own),
        }
    };
    let begun = 0xfff0_0000;
    assert_eq!(come(40_000, begun), Moved);
    assert_eq!(come(40_001, begun.wrapping_add(3_000)), Taken);
    assert_eq!(come(40_002, begun.wrapping_add(6_000)), Taken);
    // Two seconds late on the same timeline: by no way.
    assert_eq!(come(30_000, begun.wrapping_sub(170_000)), Repeated);
    assert_eq!(come(7, 90_000_000), Taken, "it was started anew");
    assert_eq!(come(8, 90_003_000), Taken);
    assert_eq!((stream.restarts, stream.lost(), stream.packets), (2, 0, 205));
}

/// So many packets, from 100 on, and when the last of them came.
fn stream_of(count: u16) -> (Stream, u64) {
    (received(100..100 + count), 5_000 + u64::from(count - 1) * GAP)
}

#[test]
fn a_sender_that_goes_on_from_another_port_or_address_is_followed_at_once() {
    for source in [THERE, (HERE.0, 4_002)] {
        let (mut stream, last) = stream();
        assert_eq!(from(&mut stream, source, 110, last + 1), Moved);
        assert!(stream.is_from(&source.0, source.1));
        assert_eq!(from(&mut stream, source, 111, last + GAP), Moved);
        assert_eq!(summary(&stream), (12, 0, 0, 0, 0));
        assert_eq!((stream.moves, stream.collisions), (1, 0));
    }
}

#[test]
fn a_sender_that_begins_anew_is_followed_when_the_one_before_is_silent() {
    let (mut stream, last) = stream();
    assert_eq!(from(&mut stream, THERE, 40_000, last + 201 * MS), Moved);
    assert_eq!(from(&mut stream, THERE, 40_001, last + 221 * MS), Moved);
    assert_eq!(summary(&stream), (12, 0, 0, 0, 1));
}

#[test]
fn what_comes_back_in_a_loop_is_not_of_the_stream() {
    let (mut stream, last) = stream();
    for sequence in [109, 108, 100] {
        assert_eq!(from(&mut stream, THERE, sequence, last + MS), Collision);
    }
    assert!(stream.is_from(&HERE.0, HERE.1));
    assert_eq!(summary(&stream), (10, 0, 0, 0, 0));
    assert_eq!(stream.collisions, 3);
}

#[test]
fn of_two_live_senders_the_first_is_kept() {
    let (mut stream, mut now) = stream();
    for count in 0..100u16 {
        now += GAP;
        assert_eq!(from(&mut stream, HERE, 110 + count, now), Moved, "{count}");
        assert_eq!(from(&mut stream, THERE, 30_000 + count, now + MS), Collision, "{count}");
    }
    assert_eq!(summary(&stream), (110, 0, 0, 0, 0));
}

#[test]
fn in_a_mesh_each_packet_counts_once_and_the_first_way_is_kept() {
    let (mut stream, mut now) = stream();
    let mut taken = 0;
    for count in 0..100u16 {
        now += GAP;
        // Now and then the longer way is the faster one.
        let ways = if count % 10 == 0 { [THERE, HERE] } else { [HERE, THERE] };
        for (at, way) in ways.into_iter().enumerate() {
            taken += u32::from(from(&mut stream, way, 110 + count, now + at as u64 * MS) == Moved);
        }
    }
    assert_eq!(taken, 100);
    assert!(stream.is_from(&HERE.0, HERE.1));
    assert_eq!(stream.lost(), 0);
}

#[test]
fn a_rival_takes_over_when_the_first_has_ended() {
    let (mut stream, last) = stream();
    assert_eq!(from(&mut stream, THERE, 30_000, last + MS), Collision);
    assert_eq!(from(&mut stream, THERE, 30_001, last + 450 * MS), Collision);
    assert_eq!(from(&mut stream, THERE, 30_002, last + 501 * MS), Moved);
    assert!(stream.is_from(&THERE.0, THERE.1));
}

#[test]
fn a_stream_that_began_with_rtcp_takes_its_first_packet_from_another_port() {
    let mut stream = Stream::begin_with_rtcp(5_000, HERE.0, HERE.1 + 1);
    assert_eq!(summary(&stream), (0, 0, 0, 0, 0));
    assert_eq!(from(&mut stream, HERE, 7, 6_000), Moved);
    assert_eq!(from(&mut stream, HERE, 8, 6_000 + GAP), Moved);
    assert_eq!(summary(&stream), (2, 0, 0, 0, 0));
    assert_eq!((stream.rtcp_packets, stream.packets), (1, 2));
}

/// A NAT gave the sender another port, and one packet took the old way.
#[test]
fn a_late_packet_from_where_the_sender_was_is_taken_and_moves_nothing() {
    let (mut stream, last) = stream();
    assert_eq!(from(&mut stream, THERE, 111, last + GAP), Moved);
    assert_eq!(from(&mut stream, HERE, 110, last + GAP + MS), Taken);
    assert_eq!(from(&mut stream, HERE, 110, last + GAP + 2 * MS), Repeated, "and once only");
    assert_eq!(from(&mut stream, THERE, 112, last + 2 * GAP), Moved);
    assert!(stream.is_from(&THERE.0, THERE.1));
    assert_eq!(summary(&stream), (13, 0, 1, 1, 0));
}

/// Two ways carry one stream; the first of them fails.
#[test]
fn the_other_of_two_ways_takes_over_at_once() {
    let (mut stream, mut now) = stream();
    let mut sequence = 110;
    for _ in 0..20 {
        now += GAP;
        from(&mut stream, HERE, sequence, now);
        assert_eq!(from(&mut stream, THERE, sequence, now + MS), Collision);
        sequence += 1;
    }
    let lost = (0..20).take_while(|_| {
        now += GAP;
        sequence += 1;
        from(&mut stream, THERE, sequence, now) == Collision
    });
    assert!(lost.count() <= 2, "30 ms are two packets of 20");
}

/// In batches, and on several CPUs, a packet may be taken after one that came later.
#[test]
fn a_packet_of_a_moment_ago_says_nothing_of_silence() {
    let (mut stream, last) = stream();
    assert_eq!(from(&mut stream, THERE, 100, last - 1), Collision);
    assert_eq!(from(&mut stream, THERE, 30_000, last - MS), Collision);
    assert_eq!((stream.restarts, stream.moves), (0, 0));
}

/// Whoever else sends, and however: the packets of the first sender are all taken.
#[test]
fn intruders_cost_the_first_sender_nothing() {
    for (every, ports) in [(1, 1), (3, 1), (3, 7), (5, 1_000)] {
        let (mut stream, mut now) = stream();
        for count in 0..1_000u16 {
            now += GAP / 4;
            let taken = from(&mut stream, HERE, 110 + count, now);
            assert_ne!(taken, Collision, "packet {count}, an intruder every {every}, {ports} ports");
            if count % every == 0 {
                let port = 9_000 + count % ports;
                from(
                    &mut stream,
                    (THERE.0, port),
                    (110 + count).wrapping_add(1_000 * (1 + count % 2)),
                    now + MS,
                );
            }
        }
    }
}

/// One packet now and then does not keep a stream from its sender.
#[test]
fn who_was_first_but_does_not_keep_up_loses_the_stream() {
    let mut stream = Stream::begin(arrival(7, 0, 5_000), THERE.0, THERE.1);
    let (mut now, mut taken) = (5_000, 0);
    for count in 0..2_000u16 {
        now += 5 * MS;
        taken += u32::from(from(&mut stream, HERE, 40_000 + count, now) != Collision);
        if count % 180 == 0 {
            from(&mut stream, THERE, 7 + count, now + MS);
        }
    }
    assert!(taken >= 1_500, "{taken} of 2,000");
}

#[test]
fn a_report_does_not_make_a_former_source() {
    let mut stream = Stream::begin_with_rtcp(5_000, THERE.0, THERE.1);
    assert_eq!(from(&mut stream, HERE, 1, 6_000), Moved);
    assert_eq!(from(&mut stream, THERE, 30_000, 7_000), Collision);
    assert!(stream.is_from(&HERE.0, HERE.1));
}
