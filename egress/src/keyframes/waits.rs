//! [`Waits`]: keyframes that were asked for, and have not come yet. Without I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use node::media::Ssrc;
use prometheus::Histogram;

use crate::distribution;

/// A keyframe that has not come after so long does not come by itself: its viewers see nothing.
pub const OVERDUE: Duration = Duration::from_secs(5);
/// Upper ends of the histogram's buckets: seconds.
const BUCKETS: [f64; 9] = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 5.0, 10.0];

/// What is known of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// When a keyframe began to come last.
    pub keyframe: Option<Duration>,
    /// It comes at all; from whom nothing comes no keyframe is waited for.
    pub comes: bool,
}

/// What is waited for. There is one entry a stream at most.
#[derive(Debug)]
pub struct Waits {
    /// Since when, and whether that is overdue.
    since: BTreeMap<Ssrc, (Duration, bool)>,
    missed: u64,
    took: Histogram,
}

/// A reading.
#[derive(Clone, Debug)]
pub struct View {
    /// Streams whose keyframe is overdue.
    pub overdue: usize,
    /// How often one became so.
    pub missed: u64,
    /// From the request to the keyframe.
    pub took: Histogram,
}

impl Default for Waits {
    fn default() -> Self {
        let help = "From a request for a keyframe that went up the tree to the keyframe.";
        let took = distribution::histogram("keyframe_wait_seconds", help, &BUCKETS);
        Waits { since: BTreeMap::new(), missed: 0, took }
    }
}

impl Waits {
    /// A keyframe has been wanted since then, and is asked for.
    pub fn asked(&mut self, ssrc: Ssrc, since: Duration) {
        self.since.entry(ssrc).or_insert((since, false));
    }

    /// Looks what has come. `of`: what is known of a stream, if it is still there.
    pub fn look(&mut self, now: Duration, of: impl Fn(Ssrc) -> Option<Picture>) {
        let Waits { since: waiting, missed, took } = self;
        waiting.retain(|ssrc, (since, overdue)| {
            let Some(picture) = of(*ssrc).filter(|picture| picture.comes) else { return false };
            if let Some(at) = picture.keyframe.filter(|at| at > since) {
                took.observe((at - *since).as_secs_f64());
                return false;
            }
            if !*overdue && now.saturating_sub(*since) > OVERDUE {
                *overdue = true;
                *missed += 1;
            }
            true
        });
    }

    /// How it stands.
    pub fn view(&self) -> View {
        let overdue = self.since.values().filter(|(_, overdue)| *overdue).count();
        View { overdue, missed: self.missed, took: self.took.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn picture(keyframe: Option<u64>) -> impl Fn(Ssrc) -> Option<Picture> {
        move |_| Some(Picture { keyframe: keyframe.map(S), comes: true })
    }

    #[test]
    fn a_keyframe_that_does_not_come_is_missed_once() {
        let mut waits = Waits::default();
        waits.asked(Ssrc(1), S(10));
        waits.asked(Ssrc(1), S(13));
        waits.look(S(15), picture(Some(9)));
        assert_eq!((waits.view().overdue, waits.view().missed), (0, 0));
        for now in 16..20 {
            waits.look(S(now), picture(Some(9)));
            assert_eq!((waits.view().overdue, waits.view().missed), (1, 1));
        }
        waits.look(S(21), picture(Some(20)));
        let view = waits.view();
        assert_eq!((view.overdue, view.missed, view.took.get_sample_count()), (0, 1, 1));
        assert_eq!(view.took.get_sample_sum(), 10.0, "since it was wanted first");
        waits.look(S(60), picture(Some(20)));
        assert_eq!(waits.view().missed, 1, "nobody has asked again");
    }

    #[test]
    fn of_a_stream_that_has_stopped_none_is_waited_for() {
        for gone in [None, Some(Picture { keyframe: None, comes: false })] {
            let mut waits = Waits::default();
            waits.asked(Ssrc(1), S(0));
            waits.look(S(60), |_| gone);
            assert_eq!((waits.view().overdue, waits.view().missed), (0, 0));
            assert!(waits.since.is_empty(), "nothing is kept of it");
        }
    }
}
