//! What Prometheus says that can be counted on. Pure.

use std::collections::BTreeSet;

use crate::model::{Ms, Observation, Reading};

/// Figures that are there and fresh. Percentages are 0 to 100.
#[derive(Debug, Default)]
pub struct Known {
    /// Mean of the egresses' CPUs, percent.
    pub cpu: Option<f64>,
    /// Mean of their memory, percent.
    pub memory: Option<f64>,
    /// The fullest port pool, percent; none without Janus.
    pub port_pool: Option<f64>,
    /// Packets a second.
    pub drops: Option<f64>,
    /// Names of egresses.
    pub overloaded: BTreeSet<String>,
    /// Why the figures are not of the whole tree; those that there are may ask for more egresses, and never for fewer.
    pub lacking: Option<String>,
}

impl Known {
    /// Of these figures, those that are not older than `stale` seconds.
    pub fn of(seen: &Observation, stale: f64, now: Ms) -> Known {
        let figures = &seen.figures;
        if figures.unwanted {
            return Known::default();
        }
        let age = (stale * 1_000.0) as u64;
        let fresh = |reading: &Option<Reading>| reading.and_then(|reading| reading.within(age, now));
        let percent = |reading| fresh(reading).map(|ratio| ratio * 100.0);
        let scraped = fresh(&figures.scraped);
        let mut known = Known {
            cpu: percent(&figures.cpu),
            memory: percent(&figures.memory),
            port_pool: fresh(&figures.port_pool),
            drops: fresh(&figures.drops),
            overloaded: BTreeSet::new(),
            lacking: None,
        };
        if scraped.is_some() && figures.problem.is_none() {
            known.overloaded.clone_from(&figures.overloaded);
        }
        let wanted =
            [("CPU", known.cpu), ("memory", known.memory), ("drops", known.drops), ("scrapes", scraped)];
        let missing: Vec<&str> =
            wanted.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
        known.lacking = if let Some(problem) = &figures.problem {
            Some(format!("Prometheus does not answer: {problem}"))
        } else if !missing.is_empty() {
            Some(format!("Prometheus has no fresh figure of {}", missing.join(", ")))
        } else {
            let ratio = scraped.unwrap_or_default();
            (ratio < 1.0).then(|| format!("Prometheus reaches only {:.0} % of the egresses", ratio * 100.0))
        };
        known
    }
}
