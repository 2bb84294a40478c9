//! How viewers fare, by what they report: looked at every ten seconds, so that Prometheus has distributions, and operators have
//! what was so lately and not on average since the join. Without I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use prometheus::Histogram;

use crate::distribution::{JITTER, RATIO, RTT, histogram};
use crate::server::{Figures, Repairs};

/// How often it is looked.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What was read before says nothing of now.
const OLD: Duration = Duration::from_secs(30);

/// What a viewer had between the last two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lately {
    /// Sent to it: bit/s.
    pub bitrate: u64,
    /// Lost of what was sent, before retransmission: 0 to 1.
    pub loss: f64,
}

/// Sums over all viewers, those who have gone among them. They never fall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Packets sent, retransmissions included.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets lost by the viewers' reports.
    pub lost: u64,
    /// What was done about lost packets, and what could not be; of servers that know.
    pub repairs: Repairs,
}

/// All looks so far.
pub struct Quality {
    seen: BTreeMap<u64, Seen>,
    idle: BTreeSet<u64>,
    sums: Sums,
    rtt: Histogram,
    jitter: Histogram,
    loss: Histogram,
}

/// A viewer as it was at the last look.
struct Seen {
    figures: Figures,
    lately: Lately,
}

impl Default for Quality {
    fn default() -> Self {
        Quality {
            seen: BTreeMap::new(),
            idle: BTreeSet::new(),
            sums: Sums::default(),
            rtt: histogram("viewer_rtt_seconds", "Round trip to viewers, each every ten seconds.", &RTT),
            jitter: histogram(
                "viewer_jitter_seconds",
                "Jitter of video at viewers, each every ten seconds.",
                &JITTER,
            ),
            loss: histogram(
                "viewer_loss_ratio",
                "Packets that viewers lost before retransmission, of those sent, each every ten seconds.",
                &RATIO,
            ),
        }
    }
}

impl Quality {
    /// All viewers that are up, as they are now, by the number of their seats.
    pub fn look(&mut self, figures: BTreeMap<u64, Figures>, now: Instant) {
        let mut before = std::mem::take(&mut self.seen);
        let idle = std::mem::take(&mut self.idle);
        for (seat, figures) in figures {
            // Nobody has read anything since the last look.
            let last = before.remove(&seat);
            if let Some(last) = last.as_ref().filter(|last| last.figures.at == figures.at) {
                let is_old = now.saturating_duration_since(figures.at) > OLD;
                if idle.contains(&seat) && !is_old {
                    self.idle.insert(seat);
                }
                let lately = if is_old { Lately::default() } else { last.lately };
                self.seen.insert(seat, Seen { lately, figures });
                continue;
            }
            if last.as_ref().is_some_and(|last| last.figures.packets == figures.packets) {
                self.idle.insert(seat);
            }
            self.sums.add(&figures, last.as_ref().map(|seen| &seen.figures));
            let lately = last.as_ref().and_then(|last| last.until(&figures));
            if let Some(lately) = lately {
                self.loss.observe(lately.loss);
                let times = [(&self.rtt, figures.rtt), (&self.jitter, figures.jitter)];
                for (histogram, time) in times {
                    if let Some(time) = time {
                        histogram.observe(time.as_secs_f64());
                    }
                }
            }
            self.seen.insert(seat, Seen { figures, lately: lately.unwrap_or_default() });
        }
    }

    /// What a viewer had lately; nothing before the second look at it.
    pub fn lately(&self, seat: u64) -> Lately {
        self.seen.get(&seat).map(|seen| seen.lately).unwrap_or_default()
    }

    /// Seats that were sent nothing between the last two looks.
    pub fn idle(&self) -> &BTreeSet<u64> {
        &self.idle
    }

    /// Sums until the last look at each.
    pub fn sums(&self) -> Sums {
        self.sums
    }

    /// The distributions.
    pub fn histograms(&self) -> [Histogram; 3] {
        [self.rtt.clone(), self.jitter.clone(), self.loss.clone()]
    }
}

impl Seen {
    fn until(&self, figures: &Figures) -> Option<Lately> {
        let seconds =
            figures.at.checked_duration_since(self.figures.at).filter(|span| !span.is_zero())?.as_secs_f64();
        let packets = figures.packets.saturating_sub(self.figures.packets);
        let lost = figures.lost.saturating_sub(self.figures.lost);
        let bits = 8.0 * figures.bytes.saturating_sub(self.figures.bytes) as f64;
        let loss = if packets == 0 { 0.0 } else { (lost as f64 / packets as f64).min(1.0) };
        Some(Lately { bitrate: (bits / seconds) as u64, loss })
    }
}

impl Sums {
    /// Adds what has come since `last`. Whatever another server says that it has counted, a sum never begins anew.
    fn add(&mut self, now: &Figures, last: Option<&Figures>) {
        let grown = |of: fn(&Figures) -> u64| of(now).saturating_sub(last.map_or(0, of));
        self.packets = self.packets.saturating_add(grown(|figures| figures.packets));
        self.bytes = self.bytes.saturating_add(grown(|figures| figures.bytes));
        self.lost = self.lost.saturating_add(grown(|figures| figures.lost));
        let repairs = |figures: &Figures| figures.repairs.unwrap_or_default();
        let (now, last) = (repairs(now), last.map(repairs).unwrap_or_default());
        self.repairs.resent += now.resent.saturating_sub(last.resent);
        self.repairs.unanswered += now.unanswered.saturating_sub(last.unanswered);
        self.repairs.dropped += now.dropped.saturating_sub(last.dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(packets: u64, lost: u64) -> seats::Figures {
        let rtt = Some(Duration::from_millis(30));
        seats::Figures { packets, bytes: packets * 1000, lost, rtt, ..seats::Figures::default() }
    }

    /// Looks of which each is a reading of its own.
    struct Looks {
        quality: Quality,
        began: Instant,
    }

    impl Looks {
        fn new() -> Looks {
            Looks { quality: Quality::default(), began: Instant::now() }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.began + Duration::from_secs(seconds)
        }

        fn look(&mut self, seconds: u64, all: &[(u64, seats::Figures)]) {
            self.look_at_read(seconds, seconds, all);
        }

        /// A look at what was read at another time.
        fn look_at_read(&mut self, seconds: u64, read: u64, all: &[(u64, seats::Figures)]) {
            let all = all.iter().cloned();
            let all = all.map(|(seat, figures)| (seat, Figures::native(figures, self.at(read))));
            self.quality.look(all.collect(), self.at(seconds));
        }
    }

    #[test]
    fn what_was_lately_is_told_from_what_was_ever() {
        let mut looks = Looks::new();
        looks.look(0, &[(1, figures(10_000, 5000))]);
        assert_eq!(looks.quality.lately(1), Lately::default());
        looks.look(10, &[(1, figures(12_000, 5020))]);
        assert_eq!(looks.quality.lately(1), Lately { bitrate: 1_600_000, loss: 0.01 });
        assert!(looks.quality.idle().is_empty());
        looks.look(20, &[(1, figures(12_000, 5020))]);
        assert!(looks.quality.idle().contains(&1));
        assert_eq!(looks.quality.lately(1), Lately::default());
        assert_eq!(looks.quality.lately(2), Lately::default(), "nobody");
        let [rtt, _, loss] = looks.quality.histograms();
        assert_eq!((rtt.get_sample_count(), loss.get_sample_count()), (2, 2));
    }

    #[test]
    fn what_nobody_has_read_again_says_nothing_new() {
        let mut looks = Looks::new();
        looks.look(0, &[(1, figures(10_000, 0))]);
        looks.look_at_read(10, 8, &[(1, figures(11_600, 0))]);
        let lately = Lately { bitrate: 1_600_000, loss: 0.0 };
        looks.look_at_read(20, 8, &[(1, figures(11_600, 0))]);
        assert_eq!(looks.quality.lately(1), lately, "by the time between the readings");
        assert!(looks.quality.idle().is_empty(), "it may have been sent much");
        looks.look_at_read(30, 18, &[(1, figures(11_600, 0))]);
        looks.look_at_read(40, 18, &[(1, figures(11_600, 0))]);
        assert!(looks.quality.idle().contains(&1), "it was sent nothing until the last reading");
        looks.look_at_read(50, 18, &[(1, figures(11_600, 0))]);
        assert!(looks.quality.idle().is_empty(), "that was long ago");
        let [_, _, loss] = looks.quality.histograms();
        assert_eq!((loss.get_sample_count(), looks.quality.sums().packets), (2, 11_600));
    }

    #[test]
    fn what_cannot_be_counted_ends_nothing() {
        let mut looks = Looks::new();
        let most = seats::Figures { packets: u64::MAX, bytes: u64::MAX, lost: u64::MAX, ..figures(0, 0) };
        looks.look(0, &[(1, most.clone()), (2, most)]);
        let sums = looks.quality.sums();
        assert_eq!([sums.packets, sums.bytes, sums.lost], [u64::MAX; 3]);
    }

    #[test]
    fn who_has_gone_stays_in_the_sums() {
        let mut looks = Looks::new();
        looks.look(0, &[(1, figures(100, 1)), (2, figures(50, 0))]);
        looks.look(10, &[(2, figures(70, 2))]);
        looks.look(20, &[(2, figures(80, 2)), (3, figures(5, 0))]);
        let sums = looks.quality.sums();
        assert_eq!((sums.packets, sums.lost, sums.bytes), (185, 3, 185_000));
    }
}
