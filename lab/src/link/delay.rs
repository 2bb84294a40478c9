//! When a packet is due at the other end: pure, time is an input.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Way;
use crate::random::Random;
use crate::rtp::Header;

/// How long a link takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delay {
    /// On the way down.
    pub down: Duration,
    /// On the way up.
    pub up: Duration,
    /// RTP on the way down that is overtaken.
    pub reorder: Option<Reorder>,
}

impl Delay {
    /// Half of the round trip each way.
    pub fn round_trip(time: Duration) -> Self {
        Self { down: time / 2, up: time / 2, reorder: None }
    }

    /// The same, out of order.
    pub fn reordered(self, reorder: Reorder) -> Self {
        Self { reorder: Some(reorder), ..self }
    }
}

/// Some packets take longer than those behind them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    /// Share of the packets, 0 to 1.
    pub share: f64,
    /// How much longer.
    pub by: Duration,
    /// The same seed holds the same packets back.
    pub seed: u64,
}

impl Reorder {
    fn holds(&self, header: Header) -> bool {
        let identity = u64::from(header.ssrc.0) << 32 | u64::from(header.timestamp);
        let mut first = Random::new(self.seed ^ identity);
        let number = first.below(usize::MAX) as u64 ^ u64::from(header.sequence);
        // Parts of a million.
        (Random::new(number).below(1_000_000) as f64) < self.share * 1e6
    }
}

/// What is on its way, one way.
#[derive(Default)]
pub(super) struct OnTheWay {
    /// By when it is due and in which order it came.
    packets: BTreeMap<(u64, u64), Vec<u8>>,
    came: u64,
    /// When the last packet that was not held back is due.
    last: u64,
    pub(super) held: u64,
}

impl OnTheWay {
    /// A packet has come; `rtp` is its header if it is RTP. Only what is held back is overtaken, also when the delay has changed.
    pub(super) fn push(&mut self, way: Way, delay: Delay, rtp: Option<Header>, packet: Vec<u8>, now: u64) {
        let takes = if way == Way::Down { delay.down } else { delay.up };
        let mut due = (now + takes.as_nanos() as u64).max(self.last);
        let holds = |reorder: &Reorder| way == Way::Down && rtp.is_some_and(|header| reorder.holds(header));
        match delay.reorder.filter(holds) {
            Some(reorder) => {
                self.held += 1;
                due += reorder.by.as_nanos() as u64;
            }
            None => self.last = due,
        }
        self.packets.insert((due, self.came), packet);
        self.came += 1;
    }

    /// When the next is due.
    pub(super) fn due(&self) -> Option<u64> {
        self.packets.first_key_value().map(|((due, _), _)| *due)
    }

    /// The next that is due now.
    pub(super) fn pop(&mut self, now: u64) -> Option<Vec<u8>> {
        self.due().filter(|due| *due <= now)?;
        self.packets.pop_first().map(|(_, packet)| packet)
    }
}

#[cfg(test)]
mod tests {
    use node::media::Ssrc;

    use super::*;

    const MS: u64 = 1_000_000;
    const DELAY: Delay =
        Delay { down: Duration::from_millis(10), up: Duration::from_millis(5), reorder: None };

    fn header(sequence: u16) -> Header {
        Header { payload_type: 96, sequence, timestamp: 3000 * u32::from(sequence), ssrc: Ssrc(8888) }
    }

    /// The numbers of 1,000 packets, one a millisecond, as they come out.
    fn order(reorder: Reorder) -> Vec<u8> {
        let mut way = OnTheWay::default();
        let mut out = Vec::new();
        for number in 0..1_000_u16 {
            let now = u64::from(number) * MS;
            way.push(Way::Down, DELAY.reordered(reorder), Some(header(number)), vec![number as u8], now);
            while let Some(packet) = way.pop(now) {
                out.extend(packet);
            }
        }
        while let Some(packet) = way.pop(u64::MAX) {
            out.extend(packet);
        }
        out
    }

    #[test]
    fn each_way_takes_its_time_and_keeps_the_order() {
        for (way, takes) in [(Way::Down, 10 * MS), (Way::Up, 5 * MS)] {
            let mut on = OnTheWay::default();
            on.push(way, DELAY, None, vec![1], 0);
            on.push(way, DELAY, None, vec![2], 0);
            assert_eq!(on.due(), Some(takes));
            assert_eq!(on.pop(takes - 1), None);
            assert_eq!((on.pop(takes), on.pop(takes), on.pop(takes)), (Some(vec![1]), Some(vec![2]), None));
        }
    }

    #[test]
    fn a_shorter_delay_lets_nobody_overtake() {
        let mut on = OnTheWay::default();
        on.push(Way::Down, DELAY, None, vec![1], 0);
        on.push(Way::Down, Delay::default(), None, vec![2], MS);
        assert_eq!((on.pop(10 * MS), on.pop(10 * MS)), (Some(vec![1]), Some(vec![2])));
    }

    #[test]
    fn the_same_seed_holds_the_same_packets_back() {
        let reorder = Reorder { share: 0.1, by: Duration::from_millis(3), seed: 7 };
        let first = order(reorder);
        assert_eq!(first.len(), 1_000);
        assert_eq!(first, order(reorder));
        assert_ne!(first, order(Reorder { seed: 8, ..reorder }));
        let overtaken = first.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) > 128).count();
        assert!((50..150).contains(&overtaken), "{overtaken} of 1,000 at 10 %");
        assert!(
            order(Reorder { share: 0.0, ..reorder })
                .windows(2)
                .all(|pair| pair[1] == pair[0].wrapping_add(1))
        );
    }
}
