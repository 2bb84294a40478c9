use super::{received, summary};

#[test]
fn sequence_numbers_go_on_at_0_after_65535() {
    assert_eq!(summary(&received((65_500..=65_535).chain(0..100))), (136, 0, 0, 0, 0));
}

#[test]
fn loss_reordering_and_duplicates_across_the_wrap() {
    assert_eq!(summary(&received([65_534, 1])), (4, 2, 0, 0, 0));
    assert_eq!(summary(&received([65_534, 1, 65_535, 0])), (4, 0, 2, 0, 0));
    assert_eq!(summary(&received([65_534, 65_535, 0, 1, 65_535])), (4, 0, 0, 1, 0));
}

#[test]
fn a_long_stream_wraps_again_and_again() {
    let stream = received((0..300_000u32).map(|number| number as u16));
    assert_eq!(summary(&stream), (300_000, 0, 0, 0, 0));
    assert_eq!(stream.highest, 299_999);
}

#[test]
fn the_extended_number_may_wrap_too() {
    let mut stream = received([10]);
    stream.highest = u32::MAX - 1;
    stream.base = u32::MAX - 1;
    assert!(stream.update(super::arrival(65_535, 0, 0)) && stream.update(super::arrival(1, 0, 0)));
    assert_eq!((stream.expected(), stream.lost()), (4, 1));
}
