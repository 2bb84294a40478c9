//! Percentiles of what was measured, and of what the daemon counted itself.

use lab::relay::Json;

/// Measured times, in ms.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<f64>);

impl Times {
    /// Takes one in.
    pub fn push(&mut self, ms: f64) {
        self.0.push(ms);
    }

    /// The least time that so many hundredths of them do not exceed (nearest rank).
    pub fn percentile(&self, percent: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
    }

    /// p50, p90, p99, max as cells of a table.
    pub fn row(&self) -> String {
        let cells = [50.0, 90.0, 99.0, 100.0].map(|percent| format!("{:.3}", self.percentile(percent)));
        format!("{} | {}", self.0.len(), cells.join(" | "))
    }

    /// All of them.
    pub fn json(&self) -> String {
        let all: Vec<String> = self.0.iter().map(|ms| format!("{ms:.4}")).collect();
        format!(
            "{{\"p50\": {:.4}, \"p90\": {:.4}, \"p99\": {:.4}, \"max\": {:.4}, \"ms\": [{}]}}",
            self.percentile(50.0),
            self.percentile(90.0),
            self.percentile(99.0),
            self.percentile(100.0),
            all.join(", ")
        )
    }
}

/// The middle one; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
    }
}

/// A histogram of Prometheus: how many were at most so many seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// Reads `{name}_bucket` lines, of all label sets together.
    pub fn read(metrics: &str, name: &str) -> Histogram {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        let prefix = format!("{name}_bucket{{");
        for line in metrics.lines().filter(|line| line.starts_with(&prefix)) {
            let bound = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
            let bound = match bound {
                Some("+Inf") => Some(f64::INFINITY),
                Some(text) => text.parse().ok(),
                None => None,
            };
            let count = line.rsplit(' ').next().and_then(|text| text.parse().ok());
            let (Some(bound), Some(count)) = (bound, count) else { continue };
            match buckets.iter_mut().find(|(other, _)| *other == bound) {
                Some((_, sum)) => *sum += count,
                None => buckets.push((bound, count)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Histogram(buckets)
    }

    /// What came since an earlier reading.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let before =
            |bound: f64| earlier.0.iter().find(|(other, _)| *other == bound).map_or(0.0, |(_, count)| *count);
        Histogram(self.0.iter().map(|(bound, count)| (*bound, count - before(*bound))).collect())
    }

    /// How many.
    pub fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The bound, in ms, below which so many hundredths are; the histogram knows no better.
    pub fn at_most_ms(&self, percent: f64) -> f64 {
        let wanted = self.count() * percent / 100.0;
        self.0.iter().find(|(_, count)| *count >= wanted).map_or(f64::NAN, |(bound, _)| bound * 1e3)
    }
}

/// The names of all children in a state.
pub fn names(children: &Json, state: &str) -> Vec<String> {
    let children = children["children"].list().iter().filter(|child| child["state"].text() == state);
    children.map(|child| child["name"].text().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut times = Times::default();
        (1..=200).rev().for_each(|ms| times.push(f64::from(ms)));
        assert_eq!([50.0, 99.0, 100.0].map(|percent| times.percentile(percent)), [100.0, 198.0, 200.0]);
    }

    #[test]
    fn a_histogram_is_read_and_subtracted() {
        let text = |a: u32, b: u32| {
            format!("x_bucket{{n=\"1\",le=\"0.001\"}} {a}\nx_bucket{{n=\"1\",le=\"+Inf\"}} {b}\nx_count 9\n")
        };
        let (before, after) = (Histogram::read(&text(1, 2), "x"), Histogram::read(&text(91, 102), "x"));
        let since = after.since(&before);
        assert_eq!((since.count(), since.at_most_ms(90.0)), (100.0, 1.0));
        assert_eq!(since.at_most_ms(99.0), f64::INFINITY);
    }
}
