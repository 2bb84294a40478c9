//! Loss, duplication and reordering: pure counting, no I/O.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What one flow looked like at one socket. Times are `CLOCK_MONOTONIC` ns, arrival is when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowReport {
    /// The address of the socket that received it.
    pub socket: SocketAddr,
    /// The flow's SSRC.
    pub ssrc: u32,
    /// Where the latest packet came from.
    pub source: SocketAddr,
    /// How often `source` changed.
    pub source_changes: u64,
    /// Every packet received, also duplicates and corrupted ones.
    pub packets: u64,
    /// Their bytes of UDP payload.
    pub bytes: u64,
    /// Counters between the first and the last one that never came.
    pub lost: u64,
    /// Packets whose counter had been seen before.
    pub duplicated: u64,
    /// New packets with a counter below the highest seen.
    pub reordered: u64,
    /// Packets whose payload is not as sent; they are not looked at further, so they count as lost too.
    pub corrupted: u64,
    /// Packets whose RTP sequence number is not the low half-word of their counter.
    pub renumbered: u64,
    /// The lowest counter seen (media: extended sequence number).
    pub first_counter: u64,
    /// The highest counter seen (media: extended sequence number).
    pub last_counter: u64,
    /// When the first packet arrived.
    pub first_arrival_ns: u64,
    /// When the latest packet arrived.
    pub last_arrival_ns: u64,
    /// The longest time without a packet.
    pub longest_gap_ns: u64,
    /// Send times and latency, known for probes only.
    pub sent: Option<SendTimes>,
    /// Packets that the kernel dropped at this socket (full buffer, or bad checksum): a fault of the test
    /// unless `Lab::udp_stats` shows checksum errors.
    pub receiver_drops: u64,
}

/// When probes were sent and how long they took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendTimes {
    /// When the first received probe was sent.
    pub first_ns: u64,
    /// When the latest received probe was sent.
    pub last_ns: u64,
    /// Shortest way.
    pub min_latency_ns: u64,
    /// Longest way.
    pub max_latency_ns: u64,
}

/// How one packet stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// First, or above all before.
    InOrder,
    /// New, but later than a higher one.
    Reordered,
    /// Seen before.
    Duplicate,
}

/// Counts of a flow by packet counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Continuity {
    /// Different counters seen.
    pub unique: u64,
    /// Holes between `first` and `last`.
    pub lost: u64,
    /// Packets seen before.
    pub duplicated: u64,
    /// Packets below the highest at their time.
    pub reordered: u64,
    /// The lowest counter.
    pub first: u64,
    /// The highest counter.
    pub last: u64,
}

/// Exact bookkeeping of counters in a bitset that grows with the highest one (a billion take 125 MB).
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: Continuity,
    seen: Vec<u64>,
}

impl Tally {
    pub(crate) fn count(&mut self, counter: u64) -> Verdict {
        let (word, bit) = ((counter / 64) as usize, 1 << (counter % 64));
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        let counts = &mut self.counts;
        if self.seen[word] & bit != 0 {
            counts.duplicated += 1;
            return Verdict::Duplicate;
        }
        self.seen[word] |= bit;
        let verdict = match counts.unique {
            0 => {
                (counts.first, counts.last) = (counter, counter);
                Verdict::InOrder
            }
            _ if counter < counts.last => {
                counts.reordered += 1;
                Verdict::Reordered
            }
            _ => Verdict::InOrder,
        };
        counts.unique += 1;
        counts.first = counts.first.min(counter);
        counts.last = counts.last.max(counter);
        verdict
    }

    pub(crate) fn continuity(&self) -> Continuity {
        let span = if self.counts.unique == 0 { 0 } else { self.counts.last - self.counts.first + 1 };
        Continuity { lost: span - self.counts.unique, ..self.counts }
    }
}

/// Judges real media by its 16-bit sequence numbers, per SSRC.
///
/// A hole of 32768 packets or more cannot be told from a step back.
#[derive(Debug, Default)]
pub struct RtpJudge {
    flows: BTreeMap<u32, MediaFlow>,
}

#[derive(Debug)]
struct MediaFlow {
    highest: u64,
    tally: Tally,
    first_arrival_ns: u64,
    last_arrival_ns: u64,
}

impl RtpJudge {
    /// A judge that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one packet in.
    pub fn feed(&mut self, ssrc: u32, sequence: u16, arrival_ns: u64) -> Verdict {
        let flow = self.flows.entry(ssrc).or_insert_with(|| MediaFlow {
            // One cycle up, so that packets from before the first one have a number too.
            highest: 0x1_0000 + u64::from(sequence),
            tally: Tally::default(),
            first_arrival_ns: arrival_ns,
            last_arrival_ns: arrival_ns,
        });
        flow.last_arrival_ns = arrival_ns;
        let step = sequence.wrapping_sub(flow.highest as u16) as i16;
        let extended = flow.highest.saturating_add_signed(i64::from(step));
        flow.highest = flow.highest.max(extended);
        flow.tally.count(extended)
    }

    /// The counts of one SSRC; counters are extended sequence numbers, the first in cycle 1.
    pub fn continuity(&self, ssrc: u32) -> Option<Continuity> {
        self.flows.get(&ssrc).map(|flow| flow.tally.continuity())
    }

    /// First and latest arrival of one SSRC.
    pub fn arrivals(&self, ssrc: u32) -> Option<(u64, u64)> {
        self.flows.get(&ssrc).map(|flow| (flow.first_arrival_ns, flow.last_arrival_ns))
    }

    /// The SSRCs seen.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> {
        self.flows.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_are_judged() {
        // (what, sequence numbers, lost, duplicated, reordered)
        let table: &[(&str, &[u16], u64, u64, u64)] = &[
            ("in order", &[1, 2, 3], 0, 0, 0),
            ("a hole", &[1, 2, 5], 2, 0, 0),
            ("a hole filled late", &[1, 3, 2, 4], 0, 0, 1),
            ("a duplicate", &[1, 2, 2, 3], 0, 1, 0),
            ("a late duplicate", &[1, 2, 3, 1], 0, 1, 0),
            ("a duplicate of a late one", &[1, 3, 2, 2], 0, 1, 1),
            ("the wrap", &[65534, 65535, 0, 1], 0, 0, 0),
            ("a hole across the wrap", &[65534, 1], 2, 0, 0),
            ("reordered across the wrap", &[65534, 0, 65535, 1], 0, 0, 1),
            ("before the first", &[0, 65535, 1], 0, 0, 1),
            ("a great hole", &[0, 32767], 32766, 0, 0),
            ("one packet", &[7], 0, 0, 0),
        ];
        for &(what, sequence, lost, duplicated, reordered) in table {
            let mut judge = RtpJudge::new();
            for (arrival, &number) in sequence.iter().enumerate() {
                judge.feed(9, number, arrival as u64);
            }
            let counts = judge.continuity(9).unwrap();
            assert_eq!(
                (counts.lost, counts.duplicated, counts.reordered),
                (lost, duplicated, reordered),
                "{what}"
            );
            assert_eq!(counts.unique + counts.duplicated, sequence.len() as u64, "{what}");
            assert_eq!(judge.arrivals(9), Some((0, sequence.len() as u64 - 1)), "{what}");
        }
    }

    #[test]
    fn three_cycles_are_not_duplicates() {
        let mut judge = RtpJudge::new();
        for number in 0..200_000_u32 {
            assert_eq!(judge.feed(1, number as u16, 0), Verdict::InOrder);
        }
        assert_eq!(judge.continuity(1).unwrap().unique, 200_000);
    }

    #[test]
    fn flows_are_kept_apart() {
        let mut judge = RtpJudge::new();
        judge.feed(1, 10, 0);
        judge.feed(2, 20, 0);
        judge.feed(1, 11, 0);
        assert_eq!(judge.continuity(1).unwrap().unique, 2);
        assert_eq!(judge.ssrcs().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(judge.continuity(3), None);
    }
}
