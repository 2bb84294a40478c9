//! Against a model that keeps every sequence number it has seen, behind a network that loses, delays and repeats.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::received;

/// Positions that a packet may fall behind: less than what tells late from stray, and with the longest burst a jump from loss.
const DELAY: usize = 90;
/// The same where nothing is lost in bursts.
const LONG_DELAY: u64 = 900;

/// What the network does to one packet.
#[derive(Clone, Debug)]
struct Fate {
    lost: bool,
    delay: usize,
    /// A second copy, and how late that one is.
    repeated: Option<usize>,
}

/// Numbers from 0 on, in the order in which the network delivers them.
fn delivered(fates: &[Fate]) -> Vec<u64> {
    let mut arrivals = Vec::new();
    for (number, fate) in fates.iter().enumerate() {
        let copies = [(!fate.lost).then_some(fate.delay), fate.repeated.filter(|_| !fate.lost)];
        arrivals.extend(copies.into_iter().flatten().map(|delay| (number + delay, number as u64)));
    }
    arrivals.sort_by_key(|(position, _)| *position);
    arrivals.into_iter().map(|(_, number)| number).collect()
}

/// (expected, lost, reordered, duplicates)
fn model(numbers: &[u64]) -> (u64, u64, u64, u64) {
    let first = numbers[0];
    let (mut seen, mut reordered, mut duplicates) = (BTreeSet::new(), 0, 0);
    for number in numbers {
        let late = seen.last().is_some_and(|highest| number < highest);
        if !seen.insert(*number) {
            duplicates += 1;
        } else if late {
            reordered += 1;
        }
    }
    // From the first packet on, all are expected; before it, those that came.
    let expected = seen.last().unwrap() - first + 1 + seen.range(..first).count() as u64;
    (expected, expected - seen.len() as u64, reordered, duplicates)
}

fn compare(start: u16, numbers: &[u64]) {
    let stream = received(numbers.iter().map(|number| start.wrapping_add(*number as u16)));
    let counted = (stream.expected(), stream.lost(), stream.reordered, stream.duplicates);
    assert_eq!(counted, model(numbers), "from {start}: {numbers:?}");
    assert_eq!((stream.restarts, stream.packets + stream.duplicates), (0, numbers.len() as u64));
}

fn fate() -> impl Strategy<Value = Fate> {
    let delay = || prop_oneof![3 => Just(0), 1 => 0..=DELAY];
    (prop::bool::weighted(0.1), delay(), prop::option::weighted(0.1, delay()))
        .prop_map(|(lost, delay, repeated)| Fate { lost, delay, repeated })
}

proptest! {
    #[test]
    fn a_random_network_is_seen_as_it_is(
        fates in prop::collection::vec(fate(), 1..500),
        start in prop_oneof![any::<u16>(), 65_300..=65_535u16],
        burst in prop::option::of((any::<prop::sample::Index>(), 0..2_800usize)),
    ) {
        let mut fates = fates;
        if let Some((at, length)) = burst {
            let at = at.index(fates.len());
            let lost = Fate { lost: true, delay: 0, repeated: None };
            fates.splice(at..at, std::iter::repeat_n(lost, length));
        }
        let numbers = delivered(&fates);
        prop_assume!(!numbers.is_empty());
        compare(start, &numbers);
    }
}

#[test]
fn a_long_stream_over_a_bad_network_is_seen_as_it_is() {
    // xorshift64, Marsaglia 2003: the same numbers every time.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let fates: Vec<Fate> = (0..250_000)
        .map(|_| Fate {
            lost: random(20) == 0,
            delay: if random(10) == 0 { random(LONG_DELAY) as usize } else { 0 },
            repeated: (random(50) == 0).then(|| random(LONG_DELAY) as usize),
        })
        .collect();
    compare(40_000, &delivered(&fates));
}
