use relay_common::stream::REACH;

use super::{forwarded, received, summary};

#[test]
fn two_packets_in_a_row_elsewhere_are_a_restart_and_nothing_is_lost() {
    assert_eq!(summary(&received([1, 2, 3, 40_000, 40_001, 40_002])), (6, 0, 0, 0, 1));
}

#[test]
fn loss_before_and_after_a_restart_adds_up() {
    assert_eq!(summary(&received([1, 2, 4, 40_000, 40_001, 40_004])), (9, 3, 0, 0, 1));
}

#[test]
fn a_stream_may_restart_many_times_backwards_and_across_the_wrap() {
    let places = [1_000, 30_000, 5_000, 65_535, 20_000];
    let stream = received(places.iter().flat_map(|start: &u16| (0..10).map(|step| start.wrapping_add(step))));
    assert_eq!(summary(&stream), (50, 0, 0, 0, 4));
}

#[test]
fn a_restart_begins_its_jitter_anew() {
    let mut stream = received([1]);
    for step in 0..50u16 {
        let _ =
            stream.update(super::arrival(2 + step, u32::from(step) * 5_000, u64::from(step) * super::GAP));
    }
    assert!(stream.jitter_units() > 1_000);
    assert!(stream.update(super::arrival(40_000, 0, 0)) && stream.update(super::arrival(40_001, 0, 0)));
    assert_eq!(stream.jitter, 0);
}

/// An encoder that is started again begins with a number and a timestamp of its choice.
#[test]
fn a_sender_that_begins_again_within_reach_on_another_timeline_is_forwarded_whole() {
    let first = |count: u16| (0..count).map(|number| (1_000 + number, 9_000 + 90 * u32::from(number)));
    let then = |at: u16| (0..2_000).map(move |number| (at + number, 4_000_000_000 + 90 * u32::from(number)));
    for (count, at) in [(500, 1_498), (500, 1_490), (500, 1_000), (500, 700), (2_000, 2_100)] {
        let packets: Vec<_> = first(count).chain(then(at)).collect();
        let (out, stream) = forwarded(&packets);
        assert_eq!(out, packets, "{count} packets, then from {at} on");
        assert_eq!((stream.restarts, stream.duplicates, stream.lost()), (1, 0, 0), "from {at} on");
    }
}

/// A number of before the restart that had not come, and one that had.
#[test]
fn a_restart_at_a_number_that_is_missing_is_one() {
    let before = (0..100).filter(|number| *number != 50).map(|number| (number, 90 * u32::from(number)));
    let after = (50..300).map(|number| (number, 4_000_000_000 + 90 * u32::from(number)));
    let packets: Vec<_> = before.chain(after).collect();
    let (out, stream) = forwarded(&packets);
    assert_eq!((out, stream.restarts, stream.duplicates), (packets, 1, 0));
}

/// The picture stood still for five seconds, and the last packet before that was sent again after the first one behind it.
#[test]
fn what_was_sent_before_a_pause_is_late_and_no_restart() {
    let paused = |number: u16| 90 * u32::from(number) + if number > 50 { 450_000 } else { 0 };
    let numbers = [48, 49, 51, 50, 49, 52, 53, 50, 54];
    let (out, stream) = forwarded(&numbers.map(|number| (number, paused(number))));
    assert_eq!((stream.restarts, stream.lost(), stream.reordered), (0, 0, 1));
    // A duplicate of before the pause cannot be told from a new beginning, and a beginning must not be lost.
    assert_eq!(
        out.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [48, 49, 51, 50, 49, 52, 53, 50, 54]
    );
}

/// Whatever one packet says, those behind it go on being forwarded, also if the first of them is lost.
#[test]
fn a_stray_packet_far_ahead_costs_nothing() {
    let of = |number: u16| (number, 18 * u32::from(number));
    for ahead in [REACH + 1, 1_500, 2_999] {
        for lost in [0, 1, 7] {
            let numbers = (0..1_009).chain([1_008 + ahead]).chain(1_009 + lost..2_000);
            let packets: Vec<_> = numbers.map(of).collect();
            let (out, stream) = forwarded(&packets);
            assert_eq!(out, packets, "{ahead} ahead, {lost} lost");
            assert_eq!(stream.duplicates, 0, "{ahead} ahead, {lost} lost");
        }
    }
}

/// An answer to a question that was asked twice, and that took long: two in a row are no sender that begins again.
#[test]
fn what_comes_far_too_late_is_no_restart_and_goes_nowhere() {
    // 5,000 a second, at a clock of 90 kHz.
    let of = |number: u16| (number, 18 * u32::from(number));
    for (far, late) in [(1_300, 300), (1_500, 2), (2_900, 2)] {
        let live = (0..4_000_u16).filter(|number| !(1_000..1_300).contains(number));
        let packets: Vec<_> = live
            .flat_map(|number| {
                let behind = (number == 1_000 + far).then(|| 1_000..1_000 + late);
                std::iter::once(number).chain(behind.into_iter().flatten())
            })
            .map(of)
            .collect();
        let (out, stream) = forwarded(&packets);
        assert!(out.is_sorted(), "{far} behind");
        assert_eq!((stream.restarts, stream.lost()), (0, 300), "{far} behind");
    }
}
