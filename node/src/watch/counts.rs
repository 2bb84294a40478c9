//! What became of viewers at the door.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use prometheus::Result;

use super::Outcome;
use crate::metrics::Scrape;

/// Egresses that have series of their own; what goes to more than these is counted as one.
const MOST_NAMED: usize = 64;
const OTHERS: &str = "others";
/// What becomes of viewers, as the metric's label has it.
const RESULTS: [&str; 4] = ["redirected", "unknown", "full", "unavailable"];

#[derive(Debug, Default)]
pub(super) struct Counts {
    results: [AtomicU64; RESULTS.len()],
    nodes: Mutex<BTreeMap<String, u64>>,
}

/// A reading of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirects {
    results: [u64; RESULTS.len()],
    nodes: BTreeMap<String, u64>,
}

impl Counts {
    pub fn count(&self, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Go { .. } => 0,
            Outcome::Unknown => 1,
            Outcome::Full => 2,
            Outcome::Unavailable(_) => 3,
        };
        self.results[result].fetch_add(1, Ordering::Relaxed);
        if let Outcome::Go { node, .. } = outcome {
            let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
            let has_place = nodes.contains_key(node) || nodes.len() < MOST_NAMED;
            *nodes.entry(if has_place { node.clone() } else { OTHERS.to_owned() }).or_default() += 1;
        }
    }

    pub fn redirects(&self) -> Redirects {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Redirects { results: self.results.each_ref().map(|count| count.load(Ordering::Relaxed)), nodes }
    }
}

impl Redirects {
    /// As metrics.
    pub fn scrape(&self, scrape: &Scrape) -> Result<()> {
        let results = RESULTS.iter().zip(self.results).map(|(name, count)| ([*name], count as f64));
        let help = "Viewers that were to be sent to an egress (/watch), by what came of it.";
        scrape.counter("watch_total", help, ["result"], results)?;
        let nodes = self.nodes.iter().map(|(node, count)| ([node.as_str()], *count as f64));
        scrape.counter("watch_redirected_total", "Viewers sent to an egress.", ["egress"], nodes)
    }

    /// With one of each.
    #[doc(hidden)]
    pub fn example() -> Redirects {
        Redirects { results: [1; RESULTS.len()], nodes: [("egress-1".to_owned(), 1)].into() }
    }
}
