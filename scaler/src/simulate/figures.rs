//! What a viewer costs an egress, as docs/benchmarks/viewers.json has it of the last measurement: nothing here is made up.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Written by `cargo xtask bench viewers --write`.
const MEASURED: &str = include_str!("../../../docs/benchmarks/viewers.json");
/// Of the stream called *full* there, RTP of both kinds: bench/src/viewers/stream.rs.
pub const PACKETS_A_SECOND: f64 = 187.0;
/// The same.
pub const BITS_A_SECOND: f64 = 1_379_200.0;
/// What UDP, IP and Ethernet put around it: docs/capacity.md, *What it means for a machine*.
pub const HEADERS: f64 = 1.03;
/// CPU seconds that a viewer takes who joins: DTLS handshake, request, ICE (docs/capacity.md, *When many come at once*).
const SECONDS_A_JOIN: f64 = 0.0017;

/// What the egress' own server takes for viewers of the stream called *full*.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    /// Cores, by viewers.
    cores: Vec<(f64, f64)>,
    /// Viewers who can join in a second.
    pub joins_a_second: f64,
    /// Bytes of memory of one.
    pub memory: f64,
}

#[derive(Deserialize)]
struct File {
    samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    server: String,
    stream: String,
    viewers: u32,
    watching: u32,
    cores: f64,
    joins_a_second: f64,
    kib_a_viewer: f64,
}

impl Costs {
    /// Medians of the rounds that were measured.
    pub fn measured() -> Result<Costs> {
        Costs::of(MEASURED).context("docs/benchmarks/viewers.json")
    }

    fn of(text: &str) -> Result<Costs> {
        let file: File = serde_json::from_str(text).context("no figures of viewers")?;
        let mut by_viewers: BTreeMap<u32, Vec<&Sample>> = BTreeMap::new();
        for sample in &file.samples {
            if sample.server == "native" && sample.stream == "full" && sample.watching == sample.viewers {
                by_viewers.entry(sample.viewers).or_default().push(sample);
            }
        }
        let Some((_, most)) = by_viewers.last_key_value() else {
            bail!("no figures of the server \"native\" with the stream \"full\"");
        };
        let cores = by_viewers
            .iter()
            .map(|(viewers, samples)| (f64::from(*viewers), median(samples, |sample| sample.cores)));
        Ok(Costs {
            cores: std::iter::once((0.0, 0.0)).chain(cores).collect(),
            joins_a_second: median(most, |sample| sample.joins_a_second),
            memory: median(most, |sample| sample.kib_a_viewer * 1024.0),
        })
    }

    /// Cores in use with so many viewers, while so many a second join. Between what was measured it is even; beyond the last, it goes
    /// on as there.
    pub fn cores(&self, viewers: f64, joins_a_second: f64) -> f64 {
        let last = self.cores.len().saturating_sub(1);
        let above = self.cores.iter().position(|(at, _)| *at >= viewers).unwrap_or(last).clamp(1, last);
        let ((x0, y0), (x1, y1)) = (self.cores[above - 1], self.cores[above]);
        y0 + (viewers - x0) * (y1 - y0) / (x1 - x0) + joins_a_second * SECONDS_A_JOIN
    }
}

fn median(samples: &[&Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(|sample| of(sample)).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_those_that_were_measured() {
        let costs = Costs::measured().unwrap();
        // What docs/capacity.md says of the same file: some 2,500 viewers a core, 79 KiB each, 370 joins a second.
        let viewers_a_core = 1000.0 / costs.cores(1000.0, 0.0);
        assert!((2000.0..3000.0).contains(&viewers_a_core), "{viewers_a_core}");
        assert!((300.0..500.0).contains(&costs.joins_a_second), "{}", costs.joins_a_second);
        assert!((60e3..100e3).contains(&costs.memory), "{}", costs.memory);
        assert_eq!(costs.cores(0.0, 0.0), 0.0);
        let (some, many) = (costs.cores(650.0, 0.0), costs.cores(3000.0, 0.0));
        assert!(costs.cores(300.0, 0.0) < some && some < costs.cores(1000.0, 0.0) && many > 0.9, "{many}");
    }

    #[test]
    fn a_file_without_these_figures_is_none() {
        let none = r#"{"samples":[]}"#;
        assert!(Costs::of(none).unwrap_err().to_string().contains("no figures"));
    }
}
