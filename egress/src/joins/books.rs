//! All joins, for Prometheus: what became of them, and how long each stage took. Never a series a viewer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::HistogramVec;

use super::{Outcome, PageStages, Stage};
use crate::distribution;

/// Upper ends of the buckets, in seconds.
const BUCKETS: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// Who has seen it.
const EGRESS: &str = "egress";
const PAGE: &str = "page";

/// The books of a node.
pub struct Books {
    stages: HistogramVec,
    outcomes: [AtomicU64; Outcome::ALL.len()],
}

/// A reading of them.
#[derive(Clone, Debug)]
pub struct View {
    /// How long each stage took.
    pub stages: HistogramVec,
    /// By [`Outcome`].
    pub outcomes: [u64; Outcome::ALL.len()],
}

impl Default for Books {
    fn default() -> Books {
        let help =
            "From a viewer's request until its join had come so far, as this node or our own page saw it.";
        let stages = distribution::histograms("join_stage_seconds", help, &BUCKETS, &["stage", "seen_by"]);
        // There from the beginning, so that the first join is a change, too.
        for stage in Stage::ALL {
            let of = |seen_by| stages.with_label_values(&[stage.name(), seen_by]);
            let _ = (of(PAGE), (stage != Stage::FirstFrame).then(|| of(EGRESS)));
        }
        Books { stages, outcomes: Default::default() }
    }
}

impl Books {
    /// A join has come so far, as this node saw.
    pub fn reached(&self, stage: Stage, after: Duration) {
        self.stages.with_label_values(&[stage.name(), EGRESS]).observe(after.as_secs_f64());
    }

    /// What a page saw.
    pub fn reported(&self, page: &PageStages) {
        for (stage, after) in Stage::ALL.into_iter().zip(page.reached) {
            if let Some(after) = after {
                self.stages.with_label_values(&[stage.name(), PAGE]).observe(after.as_secs_f64());
            }
        }
    }

    /// What became of one.
    pub fn ended(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All so far.
    pub fn view(&self) -> View {
        let outcomes = self.outcomes.each_ref().map(|count| count.load(Ordering::Relaxed));
        View { stages: self.stages.clone(), outcomes }
    }
}
