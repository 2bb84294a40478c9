use super::{received, summary};

#[test]
fn a_stream_in_order_loses_nothing() {
    assert_eq!(summary(&received(100..1_100)), (1_000, 0, 0, 0, 0));
}

#[test]
fn every_gap_is_counted() {
    assert_eq!(summary(&received([1, 2, 5, 6, 10])), (10, 5, 0, 0, 0));
}

#[test]
fn the_widest_gap_that_is_loss_is_one_short_of_3000() {
    // RFC 3550 appendix A.1, MAX_DROPOUT.
    assert_eq!(summary(&received([1, 2_999])), (2_999, 2_997, 0, 0, 0));
    assert_eq!(summary(&received([1, 3_000])), (3_000, 2_998, 0, 0, 0));
    assert_eq!(summary(&received([1, 3_001])), (2, 0, 0, 0, 0), "further away it is a stray packet");
}

#[test]
fn a_packet_that_comes_after_all_was_not_lost() {
    assert_eq!(received([1, 2, 4]).lost(), 1);
    assert_eq!(summary(&received([1, 2, 4, 3])), (4, 0, 1, 0, 0));
}
