use super::{GAP, received};

#[test]
fn packets_bytes_and_times_are_counted_whatever_the_order() {
    let stream = received([10, 11, 11, 9, 60_000, 12]);
    assert_eq!((stream.packets, stream.bytes, stream.duplicates), (5, 5 * 200, 1));
    assert_eq!((stream.first_seen, stream.last_seen), (5_000, 5_000 + 5 * GAP));
    assert_eq!((stream.source, stream.source_port), ([1; 16], 4_000));
}

#[test]
fn a_stream_of_one_packet_has_lost_nothing() {
    let stream = received([65_535]);
    assert_eq!((stream.expected(), stream.lost(), stream.jitter_units()), (1, 0, 0));
}
