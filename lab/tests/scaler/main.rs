//! The scaling controller with real nodes: what it makes really serves.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod an_audience_comes_and_goes;
mod exporter;
mod house;
mod viewers_make_prometheus_ask;
