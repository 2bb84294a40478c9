use super::{received, summary};
use relay_common::stream::REACH;

#[test]
fn two_packets_that_changed_places_are_one_late_packet() {
    assert_eq!(summary(&received([1, 3, 2, 4])), (4, 0, 1, 0, 0));
}

#[test]
fn packets_in_reverse_are_all_late_but_the_first() {
    assert_eq!(summary(&received([1].into_iter().chain((2..=50).rev()))), (50, 0, 48, 0, 0));
}

#[test]
fn a_packet_is_late_as_far_back_as_the_window_reaches_and_further_behind_a_stray() {
    // More than MAX_MISORDER of RFC 3550 appendix A.1: what is sent again comes later. Packet 200 is missing at first.
    let with = |ahead: u16| received((1..200).chain(201..=200 + ahead).chain([200]));
    for ahead in [1, 31, 32, 33, 100, 101, 991, REACH] {
        let stream = with(ahead);
        assert_eq!((stream.lost(), stream.reordered, stream.duplicates), (0, 1, 0), "{ahead} behind");
    }
    let stream = with(REACH + 1);
    assert_eq!((stream.lost(), stream.reordered, stream.restarts), (1, 0, 0), "further behind");
}

#[test]
fn late_packets_across_the_words_of_the_window_are_told_apart() {
    // Every second packet first, the others after: each late one is new, each repetition is not.
    let even = (0..200).step_by(2);
    let late = (101..199).step_by(2);
    let stream = received(even.clone().chain(late.clone()));
    assert_eq!((stream.reordered, stream.duplicates), (49, 0));
    let stream = received(even.chain(late.clone()).chain(late));
    assert_eq!((stream.reordered, stream.duplicates), (49, 49));
}
