//! What [`Stream`] says of a stream, one behaviour a module.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod duplicates;
mod elsewhere;
mod gaps;
mod jitter;
mod loss;
mod older_than_the_first;
mod random_network;
mod reordering;
mod restart;
mod stray_packet;
mod totals;
mod two_ways;
mod wrap;

use relay_common::layout::{VIDEO, clock_rate};
use relay_common::stream::{Arrival, Stream, units_per_ns};

/// 20 ms.
const GAP: u64 = 20_000_000;

fn arrival(sequence: u16, timestamp: u32, now: u64) -> Arrival {
    Arrival { sequence, timestamp, bytes: 200, now, rate: units_per_ns(clock_rate(VIDEO)) }
}

/// A stream of which packets with these sequence numbers came in this order, evenly paced. What has the same number has the same timestamp.
fn received(sequences: impl IntoIterator<Item = u16>) -> Stream {
    let mut stream: Option<Stream> = None;
    let (mut last, mut timestamp) = (0u16, 0u32);
    for (count, sequence) in (0..).zip(sequences) {
        timestamp = timestamp.wrapping_add_signed(90 * i32::from(sequence.wrapping_sub(last) as i16));
        last = sequence;
        let packet = arrival(sequence, timestamp, 5_000 + count * GAP);
        match &mut stream {
            None => stream = Some(Stream::begin(packet, [1; 16], 4_000)),
            Some(stream) => drop(stream.update(packet)),
        }
    }
    stream.unwrap()
}

/// Those of the packets that are to be forwarded: with these sequence numbers and timestamps, one a millisecond.
fn forwarded(packets: &[(u16, u32)]) -> (Vec<(u16, u32)>, Stream) {
    let arrival =
        |count: usize, (sequence, timestamp)| arrival(sequence, timestamp, 5_000 + count as u64 * 1_000_000);
    let mut stream = Stream::begin(arrival(0, packets[0]), [1; 16], 4_000);
    let mut out = vec![packets[0]];
    for (count, packet) in packets.iter().enumerate().skip(1) {
        if stream.update(arrival(count, *packet)) {
            out.push(*packet);
        }
    }
    (out, stream)
}

/// (expected, lost, reordered, duplicates, restarts)
fn summary(stream: &Stream) -> (u64, u64, u64, u64, u32) {
    (stream.expected(), stream.lost(), stream.reordered, stream.duplicates, stream.restarts)
}
