use super::{received, summary};

#[test]
fn the_same_packet_again_is_a_duplicate_and_not_a_second_one() {
    assert_eq!(summary(&received([7, 7, 7, 8])), (2, 0, 0, 2, 0));
}

#[test]
fn a_duplicate_is_known_up_to_100_packets_later() {
    for behind in [1, 2, 63, 64, 65, 99, 100] {
        let stream = received((1_000..=1_000 + behind).chain([1_000]));
        assert_eq!(summary(&stream), (u64::from(behind) + 1, 0, 0, 1, 0), "{behind} behind");
    }
}

#[test]
fn a_duplicate_does_not_make_up_for_a_lost_packet() {
    assert_eq!(summary(&received([1, 2, 2, 4])), (4, 1, 0, 1, 0));
}

#[test]
fn a_late_packet_that_comes_twice_is_late_once() {
    assert_eq!(summary(&received([1, 3, 2, 2])), (3, 0, 1, 1, 0));
}

#[test]
fn a_jump_wider_than_the_window_forgets_what_was_before_it() {
    // 127 ahead, the first packet is still in the window; 128 and more, nothing is.
    for jump in [63, 64, 127, 128, 129, 2_000] {
        let before_last = jump - 1;
        let stream = received([0, 1, jump, before_last, before_last]);
        assert_eq!((stream.reordered, stream.duplicates), (1, 1), "a jump to {jump}");
    }
}
