//! An encoder's timestamps on our clock, without I/O: 32 bits of milliseconds that begin anywhere, wrap and may jump.

use std::time::Duration;

/// A step longer than this is no pause but another time line: an encoder that was restarted behind a proxy, say.
const JUMP_MS: i64 = 10_000;
/// How far frames may come before their time at most, …
pub const MOST_LEAD: Duration = Duration::from_secs(5);
/// … and what is added to that: a clock that is faster than ours by up to one part in so many is followed.
const DRIFT: u32 = 1000;

/// Audio and video of an encoder have one.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    timestamp: u32,
    /// Where that is on our clock, in ms. It may lie before the beginning for a moment.
    at: i64,
    now: i64,
}

impl Clock {
    /// Where a timestamp is on the clock that says `now`. The first is now; the others keep their distance to it, however
    /// early or late they come.
    pub fn place(&mut self, timestamp: u32, now: Duration) -> Duration {
        let now = now.as_millis() as i64;
        let at = match self.last {
            None => now,
            Some(last) => {
                let step = i64::from(timestamp.wrapping_sub(last.timestamp) as i32);
                match step.abs() <= JUMP_MS {
                    true => last.at + step,
                    false => last.at + (now - last.now).max(0),
                }
            }
        };
        self.last = Some(Last { timestamp, at, now });
        Duration::from_millis(at.max(0) as u64)
    }
}

/// How long before their time on the clock frames come. The first frame is late where an encoder connects while it encodes
/// already, and the others keep their distance to it: without this they would wait for their time, for ever.
#[derive(Debug, Default)]
pub struct Lead {
    most: Duration,
}

impl Lead {
    /// A frame of the time `at` is there. If it is earlier than any before it: by how much.
    pub fn comes(&mut self, at: Duration, now: Duration) -> Option<Duration> {
        let lead = at.saturating_sub(now).min(MOST_LEAD + now / DRIFT);
        (lead > self.most).then(|| {
            self.most = lead;
            lead
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn distances_are_kept_whatever_the_network_does() {
        let mut clock = Clock::default();
        assert_eq!(clock.place(5000, ms(100)), ms(100));
        // Late, then all at once; audio a little behind video.
        for (timestamp, now, at) in
            [(5040, 400, 140), (5080, 400, 180), (5060, 401, 160), (5120, 402, 220), (5140, 9000, 240)]
        {
            assert_eq!(clock.place(timestamp, ms(now)), ms(at), "{timestamp}");
        }
    }

    #[test]
    fn a_wrap_is_no_jump() {
        let mut clock = Clock::default();
        clock.place(u32::MAX - 10, ms(0));
        assert_eq!(clock.place(29, ms(40)), ms(40));
    }

    #[test]
    fn after_a_jump_time_goes_on() {
        let mut clock = Clock::default();
        clock.place(1_000_000, ms(0));
        assert_eq!(clock.place(0, ms(40)), ms(40));
        assert_eq!(clock.place(40, ms(80)), ms(80));
        assert_eq!(clock.place(3_000_000_000, ms(120)), ms(120));
    }

    #[test]
    fn what_lies_before_the_beginning_is_the_beginning() {
        let mut clock = Clock::default();
        clock.place(1000, ms(0));
        assert_eq!(clock.place(990, ms(1)), ms(0));
        assert_eq!(clock.place(1010, ms(2)), ms(10));
    }

    #[test]
    fn the_earliest_frame_so_far_says_how_early_they_come() {
        let mut lead = Lead::default();
        let table = [
            (100, 100, None),
            (540, 104, Some(436)),
            (560, 500, None),
            (140, 104, None),
            (1500, 1060, Some(440)),
        ];
        for (at, now, expected) in table {
            assert_eq!(lead.comes(ms(at), ms(now)), expected.map(ms), "{at}");
        }
    }

    #[test]
    fn an_encoder_that_is_too_fast_is_not_followed() {
        let mut lead = Lead::default();
        assert_eq!(lead.comes(ms(20_000), ms(1000)), Some(ms(5001)));
        // A fast clock is, for days.
        assert_eq!(lead.comes(ms(10_008_000), ms(10_000_000)), Some(ms(8000)));
    }
}
