use super::{received, summary};

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
    let places = [1_000, 30_000, 500, 65_535, 20_000];
    let stream = received(places.iter().flat_map(|start: &u16| (0..10).map(|step| start.wrapping_add(step))));
    assert_eq!(summary(&stream), (50, 0, 0, 0, 4));
}

#[test]
fn a_restart_begins_its_jitter_anew() {
    let mut stream = received([1]);
    for step in 0..50u16 {
        stream.update(super::arrival(2 + step, u32::from(step) * 5_000, u64::from(step) * super::GAP));
    }
    assert!(stream.jitter_units() > 1_000);
    stream.update(super::arrival(40_000, 0, 0));
    stream.update(super::arrival(40_001, 0, 0));
    assert_eq!(stream.jitter, 0);
}
