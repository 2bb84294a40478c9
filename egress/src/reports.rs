//! What our own page says of how it fares, whatever server serves it: distributions, and never a series a viewer. Without I/O.
//!
//! A page says what was so since it last did, in a few numbers; nothing of it is kept but when that was. Whoever makes numbers up
//! has to be connected as they are, is one of many, and is heard as often.

use std::time::Duration;

use prometheus::Histogram;
use serde::Deserialize;

use crate::distribution::{JITTER, RATIO, RTT, histogram};
use crate::joins::PageStages;

/// Bytes of a report at most.
pub const MOST_BYTES: usize = 1024;
/// A viewer is heard once in so long.
pub const EVERY: Duration = Duration::from_secs(5);

/// A report is about so long at most, ms.
const LONGEST: f64 = 60_000.0;
/// A picture freezes so often in that time at most.
const MOST_FREEZES: f64 = 100.0;
/// A report. All of it may be missing: browsers do not measure the same.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// About the last so many ms.
    pub ms: Option<f64>,
    /// RTP packets that came.
    pub received: Option<f64>,
    /// RTP packets that did not.
    pub lost: Option<f64>,
    /// Jitter of the picture.
    pub jitter_ms: Option<f64>,
    /// Round trip.
    pub rtt_ms: Option<f64>,
    /// How often the picture froze.
    pub freezes: Option<f64>,
    /// For how long.
    pub frozen_ms: Option<f64>,
    /// How its join went; in the first report.
    pub join: Option<PageStages>,
}

/// Why a viewer is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// Its connection is not up: it cannot know how it fares.
    NotUp,
    /// It was heard just now, and has to wait for so long.
    TooSoon(Duration),
}

/// Whether a viewer is heard. `up`: its connection is; `last`: how long ago it was heard.
pub fn hear(up: bool, last: Option<Duration>) -> Result<(), Unheard> {
    if !up {
        return Err(Unheard::NotUp);
    }
    let wait = last.and_then(|ago| EVERY.checked_sub(ago)).filter(|wait| !wait.is_zero());
    wait.map_or(Ok(()), |wait| Err(Unheard::TooSoon(wait)))
}

/// All reports so far.
#[derive(Clone, Debug)]
pub struct Reports {
    taken: u64,
    refused: u64,
    freezes: u64,
    rtt: Histogram,
    jitter: Histogram,
    loss: Histogram,
    frozen: Histogram,
}

impl Default for Reports {
    fn default() -> Self {
        Reports {
            taken: 0,
            refused: 0,
            freezes: 0,
            rtt: histogram("page_rtt_seconds", "Round trip as our page sees it.", &RTT),
            jitter: histogram("page_jitter_seconds", "Jitter of video as our page sees it.", &JITTER),
            loss: histogram("page_loss_ratio", "Packets that did not come to our page, of all.", &RATIO),
            frozen: histogram("page_frozen_ratio", "Part of the time that the picture stood still.", &RATIO),
        }
    }
}

impl Reports {
    /// A report comes.
    pub fn take(&mut self, report: &Report) {
        self.taken += 1;
        let up_to = |number: Option<f64>, most: f64| number.map(|number| number.clamp(0.0, most));
        let seconds = |ms: Option<f64>| up_to(ms, LONGEST).map(|ms| ms / 1000.0);
        for (histogram, time) in [(&self.rtt, report.rtt_ms), (&self.jitter, report.jitter_ms)] {
            if let Some(seconds) = seconds(time) {
                histogram.observe(seconds);
            }
        }
        let counted = |number| up_to(number, f64::from(u32::MAX)).unwrap_or_default();
        let (received, lost) = (counted(report.received), counted(report.lost));
        if received + lost > 0.0 {
            self.loss.observe(lost / (received + lost));
        }
        self.freezes += up_to(report.freezes, MOST_FREEZES).unwrap_or_default() as u64;
        let span = report.ms.unwrap_or_default().clamp(1.0, LONGEST);
        if let Some(frozen) = up_to(report.frozen_ms, span) {
            self.frozen.observe(frozen / span);
        }
    }

    /// One was refused.
    pub fn refuse(&mut self) {
        self.refused += 1;
    }

    /// How many were taken, and how many refused.
    pub fn counts(&self) -> [u64; 2] {
        [self.taken, self.refused]
    }

    /// How often pictures froze.
    pub fn freezes(&self) -> u64 {
        self.freezes
    }

    /// The distributions.
    pub fn histograms(&self) -> [&Histogram; 4] {
        [&self.rtt, &self.jitter, &self.loss, &self.frozen]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> Report {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn only_who_is_connected_is_heard_and_not_too_often() {
        let ago = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(hear(false, None), Err(Unheard::NotUp));
        assert_eq!(hear(true, None), Ok(()));
        assert_eq!(hear(true, ago(2)), Err(Unheard::TooSoon(Duration::from_secs(3))));
        assert_eq!(hear(true, ago(5)), Ok(()));
    }

    #[test]
    fn what_a_page_says_is_in_the_distributions() {
        let mut reports = Reports::default();
        reports.take(&report(
            r#"{"ms":10000,"received":990,"lost":10,"jitterMs":4,"rttMs":30,"freezes":2,"frozenMs":500,"join":{}}"#,
        ));
        let sums =
            reports.histograms().map(|histogram| (histogram.get_sample_count(), histogram.get_sample_sum()));
        assert_eq!(sums, [(1, 0.03), (1, 0.004), (1, 0.01), (1, 0.05)]);
        assert_eq!((reports.counts(), reports.freezes()), ([1, 0], 2));
    }

    #[test]
    fn nonsense_is_bounded_and_what_is_missing_counts_for_nothing() {
        let mut reports = Reports::default();
        reports.take(&report("{}"));
        assert!(reports.histograms().iter().all(|histogram| histogram.get_sample_count() == 0));
        for nonsense in [
            r#"{"ms":-1,"received":-5,"lost":1e300,"jitterMs":-1,"rttMs":1e300,"freezes":1e300,"frozenMs":1e300}"#,
            r#"{"ms":0,"received":1e300,"lost":-5,"frozenMs":5}"#,
        ] {
            reports.take(&report(nonsense));
        }
        let [rtt, _, loss, frozen] = reports.histograms();
        assert_eq!((rtt.get_sample_sum(), loss.get_sample_sum(), frozen.get_sample_sum()), (60.0, 1.0, 2.0));
        assert_eq!((reports.freezes(), reports.counts()), (100, [3, 0]));
        assert!(serde_json::from_str::<Report>(r#"{"ms":"10"}"#).is_err());
    }
}
