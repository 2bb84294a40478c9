//! When a timestamp was the present.
//!
//! Sender reports tie audio and video together (RFC 3550 section 6.4.1). What the encoder said of that does not come through
//! the tree, so it is told by when packets come: those on whose way nothing waited came soonest, for their timestamps, and they
//! count.

use std::time::Duration;

/// Clocks drift apart, so what came soonest counts for one to two times this long.
const WINDOW: Duration = Duration::from_secs(5);
/// Seconds that one timestamp may be from the next; with more between them it is no clock that goes on.
const JUMP: f64 = 60.0;

/// Follows one stream.
#[derive(Clone, Debug)]
pub struct Timeline {
    clock: f64,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    timestamp: u32,
    /// Seconds of the stream's clock since the first packet.
    position: f64,
    /// How much later than its position the soonest packet came: s. In this window, and in the one before.
    soonest: f64,
    before: f64,
    /// When this window began.
    since: Duration,
}

impl Timeline {
    /// Of a stream with so many ticks a second.
    pub fn new(clock: u32) -> Timeline {
        Timeline { clock: f64::from(clock), last: None }
    }

    /// When this timestamp was the present, `now` being when it came. Never in the future.
    pub fn live(&mut self, timestamp: u32, now: Duration) -> Duration {
        let clock = self.clock;
        let anew = Last {
            timestamp,
            position: 0.0,
            soonest: now.as_secs_f64(),
            before: now.as_secs_f64(),
            since: now,
        };
        let last = self.last.get_or_insert(anew);
        let step = f64::from(timestamp.wrapping_sub(last.timestamp).cast_signed()) / clock;
        if step.abs() > JUMP {
            *last = anew;
            return now;
        }
        last.timestamp = timestamp;
        last.position += step;
        let delay = now.as_secs_f64() - last.position;
        if now.saturating_sub(last.since) >= WINDOW {
            last.before = last.soonest;
            (last.soonest, last.since) = (delay, now);
        }
        last.soonest = last.soonest.min(delay);
        let live = last.position + last.soonest.min(last.before);
        Duration::try_from_secs_f64(live).unwrap_or_default().min(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets every 20 ms, each later than its timestamp by so many ms.
    fn play(timeline: &mut Timeline, from: u64, delays: impl IntoIterator<Item = u64>) -> Vec<i64> {
        let packet = |(n, delay): (usize, u64)| {
            let n = from + n as u64;
            let live = timeline.live((n as u32).wrapping_mul(960).wrapping_sub(500), ms(n * 20 + delay));
            live.as_micros() as i64 - (n * 20 * 1000) as i64
        };
        delays.into_iter().enumerate().map(packet).collect()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Within a microsecond of so many ms.
    fn near(found: i64, wanted: u64) -> bool {
        (found - 1000 * wanted as i64).abs() <= 1
    }

    #[test]
    fn jitter_does_not_move_it() {
        let mut timeline = Timeline::new(48_000);
        let found = play(&mut timeline, 0, [30, 10, 45, 10, 80, 11]);
        assert!(near(found[0], 30) && found[1..].iter().all(|found| near(*found, 10)), "{found:?}");
    }

    #[test]
    fn a_way_that_has_become_longer_is_noticed_after_a_while() {
        let mut timeline = Timeline::new(48_000);
        play(&mut timeline, 0, [10; 100]);
        let found = play(&mut timeline, 100, [40; 600]);
        assert!(near(found[0], 10) && near(found[599], 40), "{found:?}");
    }

    #[test]
    fn timestamps_may_wrap_and_jump() {
        let mut timeline = Timeline::new(48_000);
        assert_eq!(timeline.live(u32::MAX - 100, ms(1000)), ms(1000));
        assert_eq!(timeline.live(860, ms(1020)).as_millis(), 1020);
        assert_eq!(timeline.live(1_000_000_000, ms(1040)), ms(1040));
        assert_eq!(timeline.live(1_000_000_960, ms(1070)).as_millis(), 1060);
    }
}
