use super::{received, summary};

#[test]
fn one_packet_from_elsewhere_is_neither_a_restart_nor_loss() {
    assert_eq!(summary(&received([1, 2, 40_000, 3, 4])), (5, 0, 0, 0, 0));
}

#[test]
fn several_strays_that_do_not_follow_each_other_are_no_restart() {
    assert_eq!(summary(&received([1, 2, 40_000, 50_000, 40_001, 3])), (6, 0, 0, 0, 0));
}

#[test]
fn a_stray_is_forgotten_when_the_stream_goes_on() {
    // 40001 would follow 40000, but 3 came between.
    assert_eq!(summary(&received([1, 2, 40_000, 3, 40_001, 4])), (6, 0, 0, 0, 0));
}

#[test]
fn a_stray_just_before_the_numbers_wrap_can_be_followed() {
    assert_eq!(summary(&received([20_000, 20_001, 65_535, 0, 1])), (5, 0, 0, 0, 1));
}
