use super::{received, summary};

/// It was never expected, so it may not make up for a packet that is missing.
#[test]
fn a_packet_from_before_the_first_does_not_hide_loss() {
    assert_eq!(summary(&received([10, 9, 12])), (4, 1, 1, 0, 0));
}

#[test]
fn it_is_late_once_and_then_a_duplicate() {
    assert_eq!(summary(&received([10, 8, 8, 9, 11])), (4, 0, 2, 1, 0));
}

#[test]
fn the_first_packet_may_come_right_after_the_wrap() {
    assert_eq!(summary(&received([0, 65_535, 1, 65_534])), (4, 0, 2, 0, 0));
}
