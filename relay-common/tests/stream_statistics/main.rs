//! What [`Stream`] says of a stream, one behaviour a module.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod duplicates;
mod elsewhere;
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

/// A stream of which packets with these sequence numbers came in this order, evenly paced.
fn received(sequences: impl IntoIterator<Item = u16>) -> Stream {
    let mut stream: Option<Stream> = None;
    for (count, sequence) in (0..).zip(sequences) {
        let packet = arrival(sequence, count as u32 * 1_800, 5_000 + count * GAP);
        match &mut stream {
            None => stream = Some(Stream::begin(packet, [1; 16], 4_000)),
            Some(stream) => stream.update(packet),
        }
    }
    stream.unwrap()
}

/// (expected, lost, reordered, duplicates, restarts)
fn summary(stream: &Stream) -> (u64, u64, u64, u64, u32) {
    (stream.expected(), stream.lost(), stream.reordered, stream.duplicates, stream.restarts)
}
