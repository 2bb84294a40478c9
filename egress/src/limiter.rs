//! Many who ask for a keyframe become one, and nobody is forgotten: who asks too soon after the last is served when the
//! time has come. Pure.

use std::collections::HashMap;
use std::time::Duration;

/// A keyframe of a stream is asked for once in this time.
pub const EVERY: Duration = Duration::from_secs(1);

/// When keyframes were asked for, and when they will be, by SSRC.
#[derive(Clone, Debug, Default)]
pub struct Limiter {
    last: HashMap<u32, Duration>,
    pending: HashMap<u32, Duration>,
}

impl Limiter {
    /// Somebody asks. [`Limiter::due`] says when it is passed on.
    pub fn ask(&mut self, ssrc: u32, now: Duration) {
        let at = self.last.get(&ssrc).map_or(now, |last| (*last + EVERY).max(now));
        self.pending.entry(ssrc).or_insert(at);
    }

    /// When something is to be passed on next.
    pub fn due(&self) -> Option<Duration> {
        self.pending.values().min().copied()
    }

    /// What is to be passed on now.
    pub fn take(&mut self, now: Duration) -> Vec<u32> {
        let due: Vec<u32> =
            self.pending.iter().filter(|(_, at)| **at <= now).map(|(ssrc, _)| *ssrc).collect();
        for ssrc in &due {
            self.pending.remove(ssrc);
            self.last.insert(*ssrc, now);
        }
        self.last.retain(|_, last| *last + EVERY > now);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_and_none_is_lost() {
        let ms = Duration::from_millis;
        let mut limiter = Limiter::default();
        for _ in 0..20 {
            limiter.ask(8888, ms(0));
        }
        assert_eq!((limiter.take(ms(0)), limiter.take(ms(0))), (vec![8888], vec![]));
        limiter.ask(8888, ms(300));
        limiter.ask(8888, ms(600));
        limiter.ask(9999, ms(600));
        assert_eq!(limiter.take(ms(600)), [9999], "another stream is another matter");
        assert_eq!((limiter.take(ms(999)), limiter.due()), (vec![], Some(ms(1000))));
        assert_eq!((limiter.take(ms(1000)), limiter.due()), (vec![8888], None));
        limiter.ask(8888, ms(5000));
        assert_eq!(limiter.take(ms(5000)), [8888]);
    }
}
