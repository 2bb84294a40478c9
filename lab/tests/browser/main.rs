//! The same broadcast with headless browsers at either end.
//!
//! A module a behaviour. They share a process, and run beside each other, each in namespaces of its own: what a test changes of its
//! process it changes on a thread of its own. One that fails in company is judged alone (`--test-threads=1`).
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod behind_a_proxy;
mod one_door_behind_a_proxy;
mod players_of_others;
mod plays_on_both_egresses;
mod publishes_through_the_whole_chain;
mod what_is_lost_between_nodes;
