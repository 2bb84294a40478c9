//! Against RFC 3550 section 6.4.1 in floating point, as it is written there.

use proptest::prelude::*;
use relay_common::layout::{AUDIO, VIDEO, clock_rate};
use relay_common::stream::{Arrival, Stream, units_per_ns};

/// J(i) = J(i-1) + (|D(i-1,i)| - J(i-1)) / 16, in timestamp units.
fn reference(packets: &[(u64, u32)], clock: u32) -> f64 {
    let mut jitter = 0.0;
    for pair in packets.windows(2) {
        let arrived = (pair[1].0 - pair[0].0) as f64 * f64::from(clock) / 1e9;
        let sent = f64::from(pair[1].1.wrapping_sub(pair[0].1) as i32);
        jitter += ((arrived - sent).abs() - jitter) / 16.0;
    }
    jitter
}

fn measured(packets: &[(u64, u32)], kind: u8) -> Stream {
    let rate = units_per_ns(clock_rate(kind));
    let arrival = |index: usize| Arrival {
        sequence: index as u16,
        timestamp: packets[index].1,
        bytes: 100,
        now: packets[index].0,
        rate,
    };
    let mut stream = Stream::begin(arrival(0), [0; 16], 0);
    for index in 1..packets.len() {
        assert!(stream.update(arrival(index)), "each comes once");
    }
    stream
}

/// Packets of a stream as (arrival in ns, timestamp): sent at `step` timestamp units or together with the one before,
/// each delayed by the network.
fn packets() -> impl Strategy<Value = (u8, Vec<(u64, u32)>)> {
    let packet = (prop::bool::weighted(0.7), 0..15_000_000u64);
    let packets = prop::collection::vec(packet, 2..400);
    (prop_oneof![Just(AUDIO), Just(VIDEO)], any::<u32>(), 1..3_000u32, packets).prop_map(
        |(kind, first, step, packets)| {
            let clock = u64::from(clock_rate(kind));
            let (mut sent, mut now) = (0u64, 0u64);
            let arrivals = packets.into_iter().map(|(next, delay)| {
                sent += if next { u64::from(step) } else { 0 };
                // One queue: nothing overtakes.
                now = now.max(1_000_000 + sent * 1_000_000_000 / clock + delay);
                (now, first.wrapping_add(sent as u32))
            });
            (kind, arrivals.collect())
        },
    )
}

proptest! {
    #[test]
    fn is_that_of_rfc_3550((kind, packets) in packets()) {
        let jitter = f64::from(measured(&packets, kind).jitter) / 16.0;
        let reference = reference(&packets, clock_rate(kind));
        // Whole timestamp units in D, sixteenths in J (appendix A.8): the error of a step is below 1 + 1/2 and fades.
        prop_assert!((jitter - reference).abs() < 1.5, "{jitter} is not {reference}");
    }
}

#[test]
fn an_evenly_paced_stream_has_none() {
    for (kind, step) in [(AUDIO, 960), (VIDEO, 1_800)] {
        let packets: Vec<_> = (0..5_000).map(|n: u32| (u64::from(n) * 20_000_000, n * step)).collect();
        assert_eq!(measured(&packets, kind).jitter_units(), 0);
    }
}

#[test]
fn a_known_delay_variation_gives_a_known_jitter() {
    // Every second packet is 4 ms late: |D| is 4 ms every time, and J goes to that.
    let packets: Vec<_> = (0..1_000)
        .map(|n: u32| (u64::from(n) * 20_000_000 + u64::from(n % 2) * 4_000_000, n * 1_800))
        .collect();
    assert_eq!(measured(&packets, VIDEO).jitter_units(), 360 - 1, "4 ms at 90 kHz, rounded down");
}

#[test]
fn a_pause_of_seconds_and_a_new_timeline_are_not_jitter() {
    let mut packets: Vec<_> = (0..100).map(|n: u32| (u64::from(n) * 20_000_000, n * 1_800)).collect();
    for (pause, timestamp) in
        [(10, 100 * 1_800), (1_000, 101 * 1_800), (0, 0x8000_0000), (0, 0x8000_0000 + 1_800)]
    {
        let last = packets[packets.len() - 1].0;
        packets.push((last + pause * 1_000_000_000 + 20_000_000, timestamp));
    }
    assert_eq!(measured(&packets, VIDEO).jitter_units(), 0);
}
