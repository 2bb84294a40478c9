//! An encoder's timestamps on our clock, without I/O: 32 bits of milliseconds that begin anywhere, wrap and may jump.
//!
//! A pause and a jump look alike: a long step. But after a pause a frame comes when its timestamp says, or later, and after a jump it
//! comes at once. So a frame that is earlier than any before it, by more than frames usually follow each other, begins another time
//! line, and so does one that goes back: it is placed where a frame that comes now belongs.

use std::time::Duration;

use node::media::{Kind, PerKind};

/// How far frames may come before their time at most, …
pub const MOST_LEAD: Duration = Duration::from_secs(5);
/// … and what is added to that: a clock that is faster than ours by up to one part in so many is followed.
const DRIFT: u32 = 1000;
/// How much earlier than any before it a frame may be, in ms.
const EARLIER: i64 = 200;
/// How far a frame may be behind the one before it of its kind, in ms.
const BACK: i64 = 100;
/// A step that is longer than what has passed by so much is a jump, even if it makes good what was late, in ms.
const AT_ONCE: i64 = 2000;
/// How far audio and video may be apart on one time line, in ms.
const APART: i64 = 3000;
/// How exactly the other kind's time line must fit after a jump, in ms, for it to be the same jump.
const SAME: i64 = 500;
/// How long timestamps may stand still, in ms: those of a picture's slices do, and of a broken encoder all.
const STILL: i64 = 500;
/// From one frame to the next, until more is known, in ms.
const USUAL: i64 = 1000;

/// Places an encoder's audio and video.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    lines: PerKind<Option<Line>>,
}

/// A kind's time line, at its last frame. All in ms.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The frame's timestamp, without wrapping.
    time: i64,
    /// What is added to timestamps.
    offset: i64,
    /// Where the frame was placed. It may lie before the beginning for a moment.
    at: i64,
    now: i64,
    /// When the timestamps were last seen to move.
    moved: i64,
    /// How early a frame was at most.
    lead: i64,
    /// How long a frame lasts.
    usual: i64,
}

impl Clock {
    /// Where a frame is on the clock that says `now`. The first is now; the others keep their distance to it, however early or
    /// late they come, audio and video alike.
    pub fn place(&mut self, kind: Kind, timestamp: u32, now: Duration) -> Duration {
        let now = now.as_millis() as i64;
        let other = self.lines[match kind {
            Kind::Audio => Kind::Video,
            Kind::Video => Kind::Audio,
        }];
        let mine = self.lines[kind];
        let time = match mine.or(other) {
            None => i64::from(timestamp),
            Some(line) => line.time + i64::from(timestamp.wrapping_sub(line.time as u32) as i32),
        };
        let line = match mine {
            None => {
                let shared = other.map(|other| other.offset);
                let offset =
                    shared.filter(|offset| (time + offset - now).abs() <= APART).unwrap_or(now - time);
                Line { time, offset, at: time + offset, now, moved: now, lead: 0, usual: USUAL }
            }
            Some(last) if last.goes_on(time, now) => Line {
                time,
                at: (time + last.offset).max(last.at),
                now,
                moved: if time > last.time { now } else { last.moved },
                lead: last.lead.max(time + last.offset - now),
                usual: (time - last.time).max(0),
                ..last
            },
            Some(last) => {
                let at = (last.at + (now - last.now).max(1)).max(now);
                // The other kind may have jumped before, and the two belong together.
                let shared = other.map(|other| other.offset).filter(|offset| *offset != last.offset);
                let offset = shared.filter(|offset| (time + offset - at).abs() <= SAME).unwrap_or(at - time);
                Line { time, offset, at: (time + offset).max(last.at + 1), now, ..last }
            }
        };
        self.lines[kind] = Some(line);
        Duration::from_millis(line.at.max(0) as u64)
    }
}

impl Line {
    /// Whether a frame is on this line.
    fn goes_on(&self, time: i64, now: i64) -> bool {
        let (step, passed) = (time - self.time, now - self.now);
        let lead = time + self.offset - now;
        let early = lead > self.lead + EARLIER && step > 2 * self.usual + BACK / 2;
        let stands_still = step <= 0 && now > self.moved + STILL;
        step >= -BACK && step <= passed + AT_ONCE && !early && !stands_still
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

    /// A frame of each kind every 40 ms, with a step of the timestamps in the middle.
    fn after_a_step(step: i64, first: Kind) -> Vec<(Kind, Duration, Duration)> {
        let mut clock = Clock::default();
        let second = if first == Kind::Audio { Kind::Video } else { Kind::Audio };
        let mut placed = Vec::new();
        for n in 0..100_i64 {
            let timestamp = (1_000_000 + n * 40 + if n < 50 { 0 } else { step }) as u32;
            let now = ms(n as u64 * 40 + 7);
            for kind in [first, second] {
                placed.push((kind, clock.place(kind, timestamp, now), now));
            }
        }
        placed
    }

    /// Case A7 of the field, with any step.
    #[test]
    fn whatever_the_step_time_goes_on() {
        for step in [
            400,
            700,
            1500,
            2500,
            7000,
            9000,
            11_000,
            60_000,
            3_600_000,
            -150,
            -900,
            -5000,
            -990_000,
            i64::from(i32::MAX),
        ] {
            for first in Kind::BOTH {
                for (kind, at, now) in after_a_step(step, first) {
                    assert!(at.abs_diff(now) <= ms(40), "{step} {kind}: {at:?} at {now:?}");
                }
            }
        }
    }

    #[test]
    fn distances_are_kept_whatever_the_network_does() {
        let mut clock = Clock::default();
        assert_eq!(clock.place(Kind::Video, 5000, ms(100)), ms(100));
        // Late, then all at once; audio a little behind video.
        for (kind, timestamp, now, at) in [
            (Kind::Video, 5040, 400, 140),
            (Kind::Video, 5080, 400, 180),
            (Kind::Audio, 5060, 401, 160),
            (Kind::Video, 5120, 402, 220),
            (Kind::Audio, 5083, 402, 183),
            (Kind::Video, 5140, 9000, 240),
            (Kind::Audio, 5106, 9000, 206),
        ] {
            assert_eq!(clock.place(kind, timestamp, ms(now)), ms(at), "{timestamp}");
        }
    }

    /// What an encoder has kept back for a connection comes at once, and a picture that stood still moves again.
    #[test]
    fn neither_a_burst_nor_a_pause_is_a_jump() {
        let mut clock = Clock::default();
        for n in 0..100 {
            assert_eq!(clock.place(Kind::Video, n * 40, ms(50)), ms(50 + u64::from(n) * 40));
        }
        for (timestamp, now) in [(3_960 + 7000, 7050), (10_960 + 9040, 16_100), (20_000 + 40, 16_120)] {
            assert_eq!(
                clock.place(Kind::Video, timestamp, ms(now)),
                ms(50 + u64::from(timestamp)),
                "{timestamp}"
            );
        }
        // One picture a second, all at once after a stall.
        let mut clock = Clock::default();
        for n in 0..4 {
            clock.place(Kind::Video, n * 1000, ms(u64::from(n) * 1000));
        }
        for n in 4..20 {
            assert_eq!(clock.place(Kind::Video, n * 1000, ms(19_000)), ms(u64::from(n) * 1000), "{n}");
        }
    }

    #[test]
    fn one_kind_may_jump_without_the_other() {
        let mut clock = Clock::default();
        for n in 0..100 {
            let (now, jump) = (ms(u64::from(n) * 40), if n < 50 { 0 } else { 9000 });
            assert_eq!(clock.place(Kind::Audio, n * 40, now), now);
            assert_eq!(clock.place(Kind::Video, n * 40 + jump, now), now, "{n}");
        }
    }

    /// The second kind may begin late, and on a time line of its own.
    #[test]
    fn the_second_kind_begins_where_it_belongs() {
        let mut clock = Clock::default();
        clock.place(Kind::Video, 0, ms(0));
        assert_eq!(clock.place(Kind::Audio, 3000, ms(3100)), ms(3000));
        let mut clock = Clock::default();
        clock.place(Kind::Video, 0, ms(0));
        assert_eq!(clock.place(Kind::Audio, 900_000, ms(3100)), ms(3100));
        assert_eq!(clock.place(Kind::Audio, 900_023, ms(3120)), ms(3123));
    }

    /// An encoder that does not count.
    #[test]
    fn timestamps_that_stand_still_are_not_believed() {
        let mut clock = Clock::default();
        for n in 0..100 {
            for kind in Kind::BOTH {
                let at = clock.place(kind, 0, ms(n * 40));
                assert!(n < 15 || at.abs_diff(ms(n * 40)) <= ms(40), "{n} {kind}: {at:?}");
            }
        }
        // The slices of a picture have one time, however many they are.
        let mut clock = Clock::default();
        for n in 0..1000 {
            let picture = n / 20;
            assert_eq!(
                clock.place(Kind::Video, picture * 40, ms(u64::from(n) * 2)),
                ms(u64::from(picture) * 40)
            );
        }
    }

    #[test]
    fn a_wrap_is_no_jump() {
        let mut clock = Clock::default();
        clock.place(Kind::Audio, u32::MAX - 10, ms(0));
        assert_eq!(clock.place(Kind::Audio, 29, ms(40)), ms(40));
        assert_eq!(clock.place(Kind::Video, u32::MAX, ms(50)), ms(10));
    }

    #[test]
    fn what_lies_before_the_beginning_is_the_beginning() {
        let mut clock = Clock::default();
        clock.place(Kind::Video, 1000, ms(0));
        assert_eq!(clock.place(Kind::Audio, 990, ms(1)), ms(0));
        assert_eq!(clock.place(Kind::Audio, 1010, ms(2)), ms(10));
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
