//! `GET /metrics`: what Prometheus scrapes.
//!
//! A scrape takes one sample of the relay and builds all series from it ([`families`]); nothing is counted twice over,
//! nothing per packet. Only what the data plane does not count itself is kept in between ([`Counters`]). All of them
//! are in docs/contract.md, *Metrics*; every series carries `tree_id` and `node_id`.

mod families;

use prometheus::TextEncoder;

use crate::relay::{Counters, Relay, Sample};

pub use families::{MOST_STREAMS, families};

/// Content type of [`render`]'s text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The text of a scrape.
pub async fn render(relay: &Relay) -> Result<String, String> {
    let sample = relay.sample().await;
    text(&sample, relay.counters()).map_err(|error| format!("the metrics cannot be written: {error}"))
}

/// A sample as text.
pub fn text(sample: &Sample, counters: &Counters) -> prometheus::Result<String> {
    TextEncoder::new().encode_to_string(&families(sample, counters)?)
}
