//! What a stream has jumped over, to be asked for.

use super::{GAP, arrival, received};
use relay_common::stream::{Missing, REACH, Standing, Stream};

/// What is missing after each of these packets, in the order in which they come.
fn gaps(sequences: &[u16]) -> Vec<Option<(u32, u16)>> {
    let mut stream = received([sequences[0]]);
    let gap = |(count, sequence): (usize, &u16)| {
        let before = stream.highest;
        let _ = stream.update(arrival(*sequence, 0, count as u64 * GAP));
        stream.missing_since(before).map(|Missing { first, count }| (first, count))
    };
    sequences.iter().enumerate().skip(1).map(gap).collect()
}

#[test]
fn a_gap_is_what_the_highest_number_jumps_by() {
    assert_eq!(gaps(&[1, 2, 4, 3, 4, 8, 9]), [None, Some((3, 1)), None, None, Some((5, 3)), None]);
    assert_eq!(gaps(&[65_534, 1, 3]), [Some((65_535, 2)), Some((65_538, 1))]);
    assert_eq!(gaps(&[1, 3_000]), [Some((2, 2_998))]);
}

#[test]
fn neither_a_beginning_nor_a_restart_nor_a_stray_packet_is_a_gap() {
    assert_eq!(gaps(&[10, 40_000, 11, 50_000, 50_001, 50_002, 50_004])[..5], [None; 5]);
    assert_eq!(gaps(&[10, 50_000, 50_001, 50_003])[2], Some((2 * 65_536 + 50_002, 1)));
    // Packets of before the first one.
    assert_eq!(gaps(&[10, 7, 9, 12]), [None, None, Some((11, 1))]);
    for sequence in [0, 1, 7, 40_000] {
        let mut stream = Stream::begin_with_rtcp(5, [1; 16], 4_000);
        let before = stream.highest;
        assert!(stream.update(arrival(sequence, 0, 6)));
        assert_eq!(stream.missing_since(before), None, "its first packet is {sequence}");
    }
}

#[test]
fn what_either_of_two_ways_jumps_over_is_a_gap() {
    let mut stream = received(0..10);
    let mut come = |way: u8, sequence| {
        let before = stream.highest;
        let standing = if way == 1 { Standing::Own } else { Standing::Twin };
        let _ = stream.take_once(&[way; 16], 4_000, arrival(sequence, 0, 10 * GAP), standing);
        stream.missing_since(before)
    };
    assert_eq!(come(2, 12), Some(Missing { first: 10, count: 2 }));
    assert_eq!([10, 11, 12, 13].map(|sequence| come(1, sequence)), [None; 4]);
    assert_eq!(come(2, 14), None);
    assert_eq!(come(2, 16), Some(Missing { first: 15, count: 1 }));
}

#[test]
fn the_window_says_what_has_come() {
    let stream = received((1..200).chain(201..1_000));
    assert_eq!(
        [1, 199, 200, 201, 999].map(|number| stream.has_come(number)),
        [None, Some(true), Some(false), Some(true), Some(true)]
    );
    assert_eq!(stream.has_come(1_000), None, "it may come yet");
    assert_eq!(stream.has_come(999 - u32::from(REACH)), Some(true));
    let stream = received([1, 2, 40_000, 40_001]);
    assert_eq!([2, 40_001].map(|number| stream.has_come(number)), [None; 2], "before the restart");
    assert_eq!(stream.has_come(stream.highest), Some(true));
}
