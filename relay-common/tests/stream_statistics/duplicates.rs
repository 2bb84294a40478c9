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
fn after_a_jump_of_any_width_only_what_was_seen_is_a_duplicate() {
    for jump in (1..=300u16).chain([2_000, 2_999]) {
        // All that are late enough to be told apart, after the jump: of them, packet 0 alone had been seen.
        let behind = (jump.saturating_sub(100)..jump).rev();
        let stream = received([0, jump].into_iter().chain(behind.clone()));
        let seen = u64::from(jump <= 100);
        let late = behind.count() as u64 - seen;
        assert_eq!((stream.reordered, stream.duplicates), (late, seen), "a jump to {jump}");
    }
}
