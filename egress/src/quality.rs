//! How viewers fare, by what they report: looked at every ten seconds, so that Prometheus has distributions, and operators have
//! what was so lately and not on average since the join. Without I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prometheus::Histogram;
use seats::Figures;

use crate::distribution::{JITTER, RATIO, RTT, histogram};

/// How often it is looked.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

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
    /// Packets sent again.
    pub resent: u64,
    /// Packets that were asked for and were not to be had any more.
    pub unanswered: u64,
    /// Packets lost by the viewers' reports.
    pub lost: u64,
    /// Packets that could not be sent.
    pub dropped: u64,
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
    at: Duration,
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
    pub fn look(&mut self, figures: BTreeMap<u64, Figures>, now: Duration) {
        let before = std::mem::take(&mut self.seen);
        self.idle.clear();
        for (seat, figures) in figures {
            let last = before.get(&seat);
            if last.is_some_and(|last| last.figures.packets == figures.packets) {
                self.idle.insert(seat);
            }
            self.sums.add(&figures, last.map(|seen| &seen.figures));
            let lately = last.and_then(|last| last.until(&figures, now));
            if let Some(lately) = lately {
                self.loss.observe(lately.loss);
                let times = [(&self.rtt, figures.rtt), (&self.jitter, figures.jitter)];
                for (histogram, time) in times {
                    if let Some(time) = time {
                        histogram.observe(time.as_secs_f64());
                    }
                }
            }
            self.seen.insert(seat, Seen { at: now, figures, lately: lately.unwrap_or_default() });
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
    fn until(&self, figures: &Figures, now: Duration) -> Option<Lately> {
        let seconds = now.checked_sub(self.at).filter(|span| !span.is_zero())?.as_secs_f64();
        let packets = figures.packets.saturating_sub(self.figures.packets);
        let lost = figures.lost.saturating_sub(self.figures.lost);
        let bits = 8.0 * figures.bytes.saturating_sub(self.figures.bytes) as f64;
        let loss = if packets == 0 { 0.0 } else { (lost as f64 / packets as f64).min(1.0) };
        Some(Lately { bitrate: (bits / seconds) as u64, loss })
    }
}

impl Sums {
    /// Adds what has come since `last`.
    fn add(&mut self, now: &Figures, last: Option<&Figures>) {
        let grown = |of: fn(&Figures) -> u64| of(now).saturating_sub(last.map_or(0, of));
        self.packets += grown(|figures| figures.packets);
        self.bytes += grown(|figures| figures.bytes);
        self.resent += grown(|figures| figures.resent);
        self.unanswered += grown(|figures| figures.unanswered);
        self.lost += grown(|figures| figures.lost);
        self.dropped += grown(|figures| figures.dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(packets: u64, lost: u64) -> Figures {
        let rtt = Some(Duration::from_millis(30));
        Figures { packets, bytes: packets * 1000, lost, rtt, ..Figures::default() }
    }

    fn look(quality: &mut Quality, seconds: u64, all: &[(u64, Figures)]) {
        quality.look(all.iter().cloned().collect(), Duration::from_secs(seconds));
    }

    #[test]
    fn what_was_lately_is_told_from_what_was_ever() {
        let mut quality = Quality::default();
        look(&mut quality, 0, &[(1, figures(10_000, 5000))]);
        assert_eq!(quality.lately(1), Lately::default());
        look(&mut quality, 10, &[(1, figures(12_000, 5020))]);
        assert_eq!(quality.lately(1), Lately { bitrate: 1_600_000, loss: 0.01 });
        assert!(quality.idle().is_empty());
        look(&mut quality, 20, &[(1, figures(12_000, 5020))]);
        assert!(quality.idle().contains(&1));
        assert_eq!(quality.lately(1), Lately::default());
        assert_eq!(quality.lately(2), Lately::default(), "nobody");
        let [rtt, _, loss] = quality.histograms();
        assert_eq!((rtt.get_sample_count(), loss.get_sample_count()), (2, 2));
    }

    #[test]
    fn who_has_gone_stays_in_the_sums() {
        let mut quality = Quality::default();
        look(&mut quality, 0, &[(1, figures(100, 1)), (2, figures(50, 0))]);
        look(&mut quality, 10, &[(2, figures(70, 2))]);
        look(&mut quality, 20, &[(2, figures(80, 2)), (3, figures(5, 0))]);
        assert_eq!((quality.sums().packets, quality.sums().lost), (185, 3));
        assert_eq!(quality.sums().bytes, 185_000);
    }
}
