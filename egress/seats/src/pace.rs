//! When packets go out, and how many at once. Pure.
//!
//! A keyframe comes as a burst of dozens of packets. Sent on to everybody at once it fills the queues of the ways there, and
//! those at the end of the list get nothing for long. So there are rounds: in each, every viewer gets a few packets.

use std::time::Duration;

/// From one round to the next at least.
pub const ROUND: Duration = Duration::from_millis(5);
/// How long a packet waits for others that it could go out with.
pub const GATHER: Duration = Duration::from_millis(2);
/// Packets of a stream that a viewer gets in one round: with full ones, 15 Mbit/s.
const SHARE: u64 = 8;
/// Who is behind by more gets more, so that he is not behind for longer than some rounds, …
const ROUNDS: u64 = 16;
/// … but never more than what goes into one buffer of the kernel.
const MOST: u64 = 48;

/// How many packets a viewer gets in this round who is so many behind.
pub fn share(behind: u64) -> u64 {
    behind.div_ceil(ROUNDS).clamp(SHARE, MOST)
}

/// When rounds are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rounds {
    /// When the last one began.
    last: Option<Duration>,
    /// When the next one is due, if there is anything to send.
    due: Option<Duration>,
}

impl Rounds {
    /// A packet came; `last` of its picture, or of those that come together.
    pub fn came(&mut self, last: bool, now: Duration) {
        let soon = if last { now } else { now + GATHER };
        self.wanted(soon);
    }

    /// A round has left something over.
    pub fn more(&mut self, now: Duration) {
        self.wanted(now);
    }

    fn wanted(&mut self, at: Duration) {
        let at = self.last.map_or(at, |last| at.max(last + ROUND));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// When the next round is, if one is wanted.
    pub fn due(&self) -> Option<Duration> {
        self.due
    }

    /// A round begins, if it is time.
    pub fn begin(&mut self, now: Duration) -> bool {
        let begins = self.due.is_some_and(|due| due <= now);
        if begins {
            (self.last, self.due) = (Some(now), None);
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_burst_is_spread_and_nobody_stays_behind() {
        for (behind, wanted) in [(0, 8), (1, 8), (60, 8), (128, 8), (160, 10), (10_000, 48)] {
            assert_eq!(share(behind), wanted, "{behind}");
        }
        let rounds = |mut behind: u64| {
            let mut rounds = 0;
            while behind > 0 {
                behind = behind.saturating_sub(share(behind));
                rounds += 1;
            }
            rounds
        };
        // A keyframe of 60 packets, two seconds of 1.4 Mbit/s, and of 20 Mbit/s.
        assert_eq!([60, 300, 4000].map(rounds), [8, 29, 111]);
    }

    #[test]
    fn what_comes_together_goes_together() {
        let mut rounds = Rounds::default();
        rounds.came(false, MS(10));
        rounds.came(false, MS(11));
        assert_eq!((rounds.due(), rounds.begin(MS(11))), (Some(MS(12)), false));
        rounds.came(true, MS(11));
        assert!(rounds.begin(MS(11)), "the picture is whole");
        assert_eq!(rounds.due(), None);
        rounds.came(true, MS(12));
        assert_eq!(rounds.due(), Some(MS(16)), "not so soon after the last");
        rounds.more(MS(13));
        assert!(!rounds.begin(MS(15)) && rounds.begin(MS(17)));
    }
}
