//! The dashboards of `deploy/monitoring/grafana`, without a Grafana: its own types take them, Prometheus' tool can read every query, and
//! what they ask for is promised. That every panel shows something of a real tree: `cargo xtask test monitoring`.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod every_query_can_be_read;
mod every_row_is_explained;
mod grafana_takes_them;
mod what_they_ask_for_is_promised;

use lab::monitoring::panels::{Panel, dashboards, panels};

/// The panels of all dashboards.
fn all() -> Vec<Panel> {
    dashboards().unwrap().iter().flat_map(|file| panels(file).unwrap()).collect()
}
