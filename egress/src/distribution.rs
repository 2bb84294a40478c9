//! Distributions for Prometheus: what is measured alike, whoever says it, has the same buckets, so that the two can be compared.

use prometheus::{Histogram, HistogramOpts, HistogramVec};

/// Upper ends of the buckets of a round trip, in seconds.
pub const RTT: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6];
/// Of jitter, in seconds.
pub const JITTER: [f64; 8] = [0.001, 0.003, 0.01, 0.03, 0.06, 0.1, 0.3, 1.0];
/// Of a part of the whole: what was lost, or stood still.
pub const RATIO: [f64; 8] = [0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3];

/// One of this node.
pub fn histogram(name: &str, help: &str, buckets: &[f64]) -> Histogram {
    Histogram::with_opts(options(name, help, buckets)).expect("constant buckets are sorted")
}

/// One for each value of the labels.
pub fn histograms(name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> HistogramVec {
    HistogramVec::new(options(name, help, buckets), labels).expect("constant buckets are sorted")
}

fn options(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).namespace("media_tree_egress").buckets(buckets.to_vec())
}
