//! `GET /metrics`: what Prometheus scrapes.
//!
//! A scrape looks at the relay once and builds all series from that look ([`families`]); nothing is counted twice over,
//! nothing per packet. Only what the data plane does not count itself is kept in between ([`Counters`]). All of them
//! are in docs/contract.md, *Metrics*; every series carries `tree_id` and `node_id`.

mod counters;
mod families;

use prometheus::TextEncoder;

use crate::relay::Relay;

pub use counters::Counters;
pub use families::{MOST_STREAMS, families};

/// Content type of [`render`]'s text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The text of a scrape.
pub async fn render(relay: &Relay) -> Result<String, String> {
    let sample = relay.sample().await;
    text(&sample, relay.counters()).map_err(|error| format!("the metrics cannot be written: {error}"))
}

/// A sample as text.
pub fn text(sample: &crate::relay::Sample, counters: &Counters) -> prometheus::Result<String> {
    TextEncoder::new().encode_to_string(&families(sample, counters)?)
}
