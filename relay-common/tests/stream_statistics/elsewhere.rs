//! A stream follows its sender, and knows a loop or a second sender when it meets one (RFC 3550 section 8.2).

use super::{GAP, arrival, received, summary};
use relay_common::stream::Elsewhere::{Collision, Moved};
use relay_common::stream::{Elsewhere, Stream};

const HERE: ([u8; 16], u16) = ([1; 16], 4_000);
const THERE: ([u8; 16], u16) = ([2; 16], 4_000);
const MS: u64 = 1_000_000;

/// Packets 100 to 109, and when the last of them came.
fn stream() -> (Stream, u64) {
    let stream = received(100..110);
    (stream, 5_000 + 9 * GAP)
}

/// A packet from some source, as the data planes take it.
fn from(stream: &mut Stream, (address, port): ([u8; 16], u16), sequence: u16, now: u64) -> Elsewhere {
    let packet = arrival(sequence, 0, now);
    if stream.is_from(&address, port) {
        stream.update(packet);
        return Moved;
    }
    stream.elsewhere(&address, port, packet)
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
    assert_eq!(from(&mut stream, THERE, 30_001, last + 900 * MS), Collision);
    assert_eq!(from(&mut stream, THERE, 30_002, last + 1_001 * MS), Moved);
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
