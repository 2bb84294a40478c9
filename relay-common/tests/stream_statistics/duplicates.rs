use super::{forwarded, received, summary};
use relay_common::stream::REACH;

#[test]
fn the_same_packet_again_is_a_duplicate_and_not_a_second_one() {
    assert_eq!(summary(&received([7, 7, 7, 8])), (2, 0, 0, 2, 0));
}

#[test]
fn a_duplicate_is_known_as_far_back_as_the_window_reaches() {
    for behind in [1, 2, 31, 32, 33, 100, 991, REACH] {
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
fn after_a_jump_of_any_width_only_what_was_seen_is_a_duplicate() {
    for jump in (1..=300u16).chain([990, 991, REACH, REACH + 1, 2_000, 2_999]) {
        // All that are not too late to be told apart, after the jump: of them, packet 0 alone had been seen.
        let behind = (jump.saturating_sub(REACH)..jump).rev();
        let stream = received([0, jump].into_iter().chain(behind.clone()));
        let seen = u64::from(jump <= REACH);
        let late = behind.count() as u64 - seen;
        assert_eq!((stream.reordered, stream.duplicates), (late, seen), "a jump to {jump}");
    }
}

#[test]
fn what_has_come_is_not_forwarded_again() {
    let packets = [1, 2, 4, 4, 2, 3, 3, 5].map(|sequence| (sequence, 0));
    let (out, stream) = forwarded(&packets);
    assert_eq!(out, [1, 2, 4, 3, 5].map(|sequence| (sequence, 0)));
    assert_eq!((stream.packets, stream.bytes, stream.duplicates), (5, 1_000, 3));
}
