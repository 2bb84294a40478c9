//! How old a request for a keyframe is that Janus passes on: since when a viewer may have been waiting. Pure.
//!
//! Janus passes on one request a second for each mountpoint. One that comes sooner is held back until the second is over, so
//! each viewer costs two: Janus asks when the viewer is up, and the viewer's own request, made for the frames that came
//! before the keyframe, follows a second later, long after that keyframe was there.

use std::time::Duration;

/// How long after a request Janus holds the next one back.
const HELD_BACK: Duration = Duration::from_secs(1);
/// What we see of that second may be shorter by this.
const EARLY: Duration = Duration::from_millis(20);
/// Janus looks for what it has held back whenever a packet comes.
const LATE: Duration = Duration::from_millis(100);

/// When the keyframe may have been wanted first, from when Janus' request before this one came and when this one did.
pub fn wanted_since(before: Option<Duration>, now: Duration) -> Duration {
    match before {
        Some(before) if now + EARLY >= before + HELD_BACK && now <= before + HELD_BACK + LATE => before,
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_second_was_held_back() {
        let ms = Duration::from_millis;
        // Before, now, since when.
        let table = [
            (None, 5000, 5000),
            (Some(5000), 5300, 5300),
            (Some(5000), 5979, 5979),
            (Some(5000), 5999, 5000),
            (Some(5000), 6033, 5000),
            (Some(5000), 6101, 6101),
            (Some(5000), 9000, 9000),
        ];
        for (before, now, wanted) in table {
            assert_eq!(wanted_since(before.map(ms), ms(now)), ms(wanted), "{before:?} {now}");
        }
    }
}
