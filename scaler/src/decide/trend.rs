//! Where the number of viewers is going. Pure.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::Ms;

/// What is older says nothing of what comes.
const KEPT: Ms = 60_000;
/// Looks that follow each other faster than this are one.
const APART: Ms = 1_000;
/// Growth is carried on for at most so many times as long as it has been seen.
const TIMES: f64 = 8.0;

/// For so long after there was no place, who comes has waited for one, and is no sign of how many are still to come.
const RUSH: Ms = 10_000;

/// Viewers at the last looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Trend {
    samples: VecDeque<(Ms, u32)>,
    /// When newcomers last found no place.
    full: Option<Ms>,
    /// Who came then when there were places again.
    rushed: VecDeque<(Ms, u32)>,
}

impl Trend {
    /// So many there are now. `is_full`: and there is no place for more.
    pub fn learn(&mut self, viewers: u32, is_full: bool, now: Ms) {
        // A clock that was set back; or somebody else wrote them.
        self.samples.retain(|(at, _)| *at <= now);
        self.rushed.retain(|(at, _)| *at <= now && now - *at <= KEPT);
        self.full = self.full.filter(|full| *full <= now);
        if !self.samples.iter().is_sorted_by(|(before, _), (after, _)| before < after) {
            self.samples.clear();
        }
        let last = self.samples.back().copied();
        if last.is_some_and(|(at, _)| now < at.saturating_add(APART)) {
            return;
        }
        let rushes = self.full.is_some_and(|full| now - full <= RUSH);
        let more = |(_, before): (Ms, u32)| viewers.checked_sub(before).filter(|more| *more > 0);
        if let Some(rush) = last.filter(|_| rushes).and_then(more) {
            // As if they had always been there.
            self.samples.iter_mut().for_each(|(_, viewers)| *viewers = viewers.saturating_add(rush));
            self.rushed.push_back((now, rush));
        }
        if is_full {
            self.full = Some(now);
        }
        self.samples.push_back((now, viewers));
        while self.samples.front().is_some_and(|(at, _)| now - at > KEPT) {
            self.samples.pop_front();
        }
    }

    /// How many more there will be after so many seconds. Where newcomers have filled what was made for them, and there is no place again,
    /// as many once more.
    pub fn growth(&self, ahead: f64) -> u32 {
        let Some((last, _)) = self.samples.back() else { return 0 };
        let rushed = self.rushed.iter().map(|(_, rush)| *rush).fold(0, u32::saturating_add);
        let again = if self.full == Some(*last) { rushed } else { 0 };
        self.carried_on(ahead).max(again)
    }

    /// How many more there will be if they go on coming as they do. Growth must be seen in both halves of the time that
    /// is looked at, as seldom as twice: a node that is counted twice while its viewers move is a step, and no trend.
    fn carried_on(&self, ahead: f64) -> u32 {
        let Some(last) = self.samples.back() else { return 0 };
        let most = self.samples.len().saturating_sub(1);
        let growth = self.samples.iter().take(most).enumerate().filter_map(|(n, first)| {
            let middle = self.samples.get(n + (most - n).div_ceil(2)).filter(|middle| *middle != last)?;
            let slope = slope(first, middle).min(slope(middle, last));
            let seen = seconds(first, last);
            Some(slope * ahead.min(TIMES * seen))
        });
        growth.fold(0.0, f64::max).round() as u32
    }
}

fn seconds(from: &(Ms, u32), to: &(Ms, u32)) -> f64 {
    (to.0 - from.0) as f64 / 1_000.0
}

/// Viewers a second.
fn slope(from: &(Ms, u32), to: &(Ms, u32)) -> f64 {
    (f64::from(to.1) - f64::from(from.1)) / seconds(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(viewers: impl IntoIterator<Item = u32>) -> Trend {
        let mut trend = Trend::default();
        for (n, viewers) in (1..).zip(viewers) {
            trend.learn(viewers, false, n * 2_000);
        }
        trend
    }

    #[test]
    fn what_stays_or_falls_does_not_grow() {
        assert_eq!(of([]).growth(60.0), 0);
        assert_eq!(of([7]).growth(60.0), 0);
        assert_eq!(of([500; 20]).growth(60.0), 0);
        assert_eq!(of([500, 400, 300, 200]).growth(60.0), 0);
    }

    #[test]
    fn a_flash_crowd_is_seen_after_two_looks() {
        // 333 a second.
        assert_eq!(of([0, 0, 0, 666]).growth(60.0), 0, "it may be a step");
        assert_eq!(of([0, 0, 0, 666, 1332]).growth(60.0), 333 * 32, "seen for 4 s");
        assert_eq!(of([0, 0, 0, 666, 1332, 1998, 2664]).growth(60.0), 333 * 60);
    }

    #[test]
    fn looks_that_were_at_no_time_are_none() {
        for samples in ["[[4000,0],[4000,9],[4000,900]]", "[[3000,0],[1000,9],[2000,900]]"] {
            let mut trend: Trend = serde_json::from_str(&format!(r#"{{"samples":{samples}}}"#)).unwrap();
            trend.learn(1_000, false, 9_000);
            assert_eq!(trend.growth(60.0), 0, "{samples}");
        }
    }

    #[test]
    fn viewers_that_are_counted_twice_while_they_move_are_no_trend() {
        assert_eq!(of([5_000, 5_000, 5_300, 5_300, 5_300]).growth(60.0), 0);
        assert_eq!(of([5_000, 5_000, 5_300, 5_300, 5_000, 5_000, 5_000]).growth(60.0), 0);
    }

    #[test]
    fn a_slow_rise_in_steps_is_seen() {
        // 22 a second, reported every other look.
        let rise = of((0..31).map(|n| n / 2 * 88));
        let growth = rise.growth(60.0);
        assert!((1_250..=1_500).contains(&growth), "{growth}");
    }

    #[test]
    fn looks_that_follow_each_other_at_once_are_one() {
        let mut trend = of([0, 100]);
        for n in 0..900 {
            trend.learn(100 + n as u32, false, 4_000 + n);
        }
        assert_eq!(trend, of([0, 100]));
    }

    /// Looks 2 s apart: viewers, and the places that there are.
    fn filling(looks: impl IntoIterator<Item = (u32, u32)>) -> Trend {
        let mut trend = Trend::default();
        for (n, (viewers, places)) in (1..).zip(looks) {
            trend.learn(viewers, viewers == places, n * 2_000);
        }
        trend
    }

    #[test]
    fn who_has_waited_for_new_places_is_no_trend() {
        let full = [(8_000, 8_000); 10];
        let rush = [(10_000, 16_000), (12_000, 16_000), (12_800, 16_000), (12_800, 16_000)];
        for n in 1..=rush.len() {
            let trend = filling(full.into_iter().chain(rush.into_iter().take(n)));
            assert_eq!(trend.growth(60.0), 0, "after {n} looks");
        }
    }

    #[test]
    fn growth_before_and_after_a_rush_is_seen() {
        let full = [(8_000, 8_000); 10];
        let rush = [(10_000, 50_000), (12_000, 50_000)];
        let after = (1..=9).map(|n| (12_000 + n * 200, 50_000));
        let trend = filling(full.into_iter().chain(rush).chain(after));
        assert_eq!(trend.growth(60.0), 6_000, "100 a second");
    }

    #[test]
    fn who_fill_what_was_made_for_them_are_expected_once_more() {
        let full = [(8_000, 8_000); 10];
        let trend = filling(full.into_iter().chain([(11_000, 12_000), (12_000, 12_000)]));
        assert_eq!(trend.growth(60.0), 4_000);
        assert_eq!(filling(full).growth(60.0), 0, "nobody is known to wait");
        let later = filling(full.into_iter().chain([(12_000, 12_000); 40]));
        assert_eq!(later.growth(60.0), 0, "a minute later");
    }
}
