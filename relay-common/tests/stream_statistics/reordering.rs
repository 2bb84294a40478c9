use super::{received, summary};

#[test]
fn two_packets_that_changed_places_are_one_late_packet() {
    assert_eq!(summary(&received([1, 3, 2, 4])), (4, 0, 1, 0, 0));
}

#[test]
fn packets_in_reverse_are_all_late_but_the_first() {
    assert_eq!(summary(&received([1].into_iter().chain((2..=50).rev()))), (50, 0, 48, 0, 0));
}

#[test]
fn a_packet_up_to_100_behind_is_late_and_further_behind_a_stray() {
    // RFC 3550 appendix A.1, MAX_MISORDER. Packet 200 is missing at first.
    let with = |ahead: u16| received((1..200).chain(201..=200 + ahead).chain([200]));
    for ahead in [1, 62, 63, 64, 65, 99, 100] {
        let stream = with(ahead);
        assert_eq!((stream.lost(), stream.reordered, stream.duplicates), (0, 1, 0), "{ahead} behind");
    }
    let stream = with(101);
    assert_eq!((stream.lost(), stream.reordered, stream.restarts), (1, 0, 0), "101 behind");
}

#[test]
fn late_packets_across_both_words_of_the_window_are_told_apart() {
    // Every second packet first, the others after: each late one is new, each repetition is not.
    let even = (0..200).step_by(2);
    let late = (101..199).step_by(2);
    let stream = received(even.clone().chain(late.clone()));
    assert_eq!((stream.reordered, stream.duplicates), (49, 0));
    let stream = received(even.chain(late.clone()).chain(late));
    assert_eq!((stream.reordered, stream.duplicates), (49, 49));
}
