//! Frames of before there is a pipeline, without I/O: as many as a viewer can use, and no more than fit.

use std::collections::VecDeque;
use std::time::Duration;

use node::media::Kind;

use super::intake::Unit;

/// How old a frame may be that no other needs.
const OLD: Duration = Duration::from_secs(1);
/// Bytes held at most.
const MOST_BYTES: usize = 16 << 20;
/// Frames held at most: each takes some hundred bytes, however little is in it.
const MOST_FRAMES: usize = 4096;

/// Frames, and when they came.
#[derive(Debug, Default)]
pub struct Held {
    frames: VecDeque<(Unit, Duration)>,
    bytes: usize,
}

impl Held {
    /// Takes a frame that came at `now`. What is old goes once nothing refers to it: all that is before a new keyframe, and sound
    /// alone.
    pub fn push(&mut self, unit: Unit, now: Duration) {
        let is_old = |came: Duration| came + OLD < now;
        if unit.kind == Kind::Video && unit.key && self.frames.front().is_some_and(|(_, came)| is_old(*came))
        {
            self.frames.clear();
            self.bytes = 0;
        }
        self.bytes += unit.data.len();
        let is_sound = unit.kind == Kind::Audio;
        self.frames.push_back((unit, now));
        if is_sound && self.frames.iter().all(|(unit, _)| unit.kind == Kind::Audio) {
            while let Some((unit, came)) = self.frames.front()
                && is_old(*came)
            {
                self.bytes -= unit.data.len();
                self.frames.pop_front();
            }
        }
    }

    /// Nothing more is to be waited for.
    pub fn is_full(&self) -> bool {
        self.bytes > MOST_BYTES || self.frames.len() > MOST_FRAMES
    }

    /// All of them, the oldest first.
    pub fn release(self) -> impl Iterator<Item = (Unit, Duration)> {
        self.frames.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn unit(kind: Kind, key: bool, length: usize) -> Unit {
        Unit { kind, at: Duration::ZERO, shown_at: Duration::ZERO, key, data: Bytes::from(vec![7; length]) }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn frames_with_nothing_in_them_are_counted_too() {
        let mut held = Held::default();
        for at in 0..MOST_FRAMES as u64 {
            held.push(unit(Kind::Video, false, 0), ms(at / 100));
        }
        assert!(!held.is_full());
        held.push(unit(Kind::Video, false, 0), ms(50));
        assert!(held.is_full());
    }

    #[test]
    fn an_old_picture_goes_with_the_next_keyframe() {
        let mut held = Held::default();
        for n in 0..200_u64 {
            held.push(unit(Kind::Video, n % 50 == 0, 10), ms(n * 40));
            held.push(unit(Kind::Audio, true, 1), ms(n * 40));
        }
        assert_eq!(held.bytes, 50 * 11);
        let first = held.release().next().unwrap();
        assert_eq!((first.0.kind, first.0.key, first.1), (Kind::Video, true, ms(6000)));
    }

    #[test]
    fn the_first_second_is_kept() {
        let mut held = Held::default();
        for n in 0..20 {
            held.push(unit(Kind::Video, true, 10), ms(n * 40));
        }
        assert_eq!((held.bytes, held.release().count()), (200, 20));
    }

    #[test]
    fn sound_alone_is_kept_for_a_second() {
        let mut held = Held::default();
        for n in 0..500 {
            held.push(unit(Kind::Audio, true, 1), ms(n * 20));
        }
        assert_eq!((held.bytes, held.release().count()), (51, 51));
    }

    #[test]
    fn it_is_full_some_time() {
        let mut held = Held::default();
        held.push(unit(Kind::Video, true, MOST_BYTES), ms(0));
        assert!(!held.is_full());
        held.push(unit(Kind::Video, false, 1), ms(1));
        assert!(held.is_full());
    }
}
