//! Many sessions and many nodes, with real Redis: what a change costs each of them. The nodes are simulated as far as media
//! goes: each is a `Tree` with its own connections and registration.
//!
//! Numbers as they are measured for the documents, for some minutes:
//! `cargo test --profile tests -p injection --test many -- --ignored --nocapture`

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

#[path = "../../../node/tests/tree/common/mod.rs"]
mod common;
mod crowd;

mod a_change_costs_each_node_one_event;
mod a_cluster_keeps_sessions;
mod hands_and_older_injections_are_heard;
mod one_session_that_is_anothers_keeps_no_other_from_repair;
mod two_sweepers_take_nothing_from_who_lives;
