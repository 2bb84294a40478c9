//! What happened since the daemon started and what nothing else counts.

use std::time::Duration;

use node::metrics::Scrape;
use prometheus::{Histogram, HistogramOpts, IntCounter, Opts};

/// Seconds: from a change of a few map writes to one that waits for a name server.
const BUCKETS: [f64; 14] =
    [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Counters of topology changes.
#[derive(Debug)]
pub struct Counters {
    added: IntCounter,
    removed: IntCounter,
    moved: IntCounter,
    refused: IntCounter,
    took: Histogram,
    keyframes: IntCounter,
}

impl Counters {
    /// All at zero.
    pub fn new() -> Counters {
        let kind = |kind: &str| {
            let opts = Opts::new("media_tree_relay_topology_changes_total", "Changes of children, by kind.");
            IntCounter::with_opts(opts.const_label("kind", kind))
                .expect("a constant name and label are valid")
        };
        let took = HistogramOpts::new(
            "media_tree_relay_topology_change_duration_seconds",
            "Time from the event that led to a change of children to the data plane having it.",
        );
        Counters {
            added: kind("added"),
            removed: kind("removed"),
            moved: kind("moved"),
            refused: kind("refused"),
            took: Histogram::with_opts(took.buckets(BUCKETS.to_vec())).expect("constant buckets are sorted"),
            keyframes: IntCounter::new(
                "media_tree_relay_keyframe_requests_total",
                "Requests for keyframes that were passed up.",
            )
            .expect("a constant name is valid"),
        }
    }

    /// Children came, went, are somewhere else, or could not be taken.
    pub fn changed(&self, added: u64, removed: u64, moved: u64, refused: u64) {
        self.added.inc_by(added);
        self.removed.inc_by(removed);
        self.moved.inc_by(moved);
        self.refused.inc_by(refused);
    }

    /// The data plane has a change: so long after the event that led to it was seen.
    pub fn change_took(&self, took: Duration) {
        self.took.observe(took.as_secs_f64());
    }

    /// A request for a keyframe was passed up.
    pub fn keyframe_asked(&self) {
        self.keyframes.inc();
    }

    /// Makes them part of a scrape.
    pub(crate) fn register(&self, scrape: &Scrape) -> prometheus::Result<()> {
        let Counters { added, removed, moved, refused, took, keyframes } = self;
        for counter in [added, removed, moved, refused, keyframes] {
            scrape.add(counter.clone())?;
        }
        scrape.add(took.clone())
    }
}

impl Default for Counters {
    fn default() -> Self {
        Counters::new()
    }
}
