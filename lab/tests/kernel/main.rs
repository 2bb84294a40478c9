//! The eBPF programs in the kernel, run on packets by BPF_PROG_TEST_RUN: every verdict, every byte, every counter.
//!
//! A module a behaviour. They share a process and take turns (`--test-threads=1`): what a test changes of its process it
//! changes on a thread of its own, or takes back.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod judge;
mod support;

mod a_new_daemon_takes_over;
mod children_that_fail_at_tc;
mod copies_by_xdp;
mod copies_never_wait_in_the_ring;
mod copies_that_do_not_fit;
mod full_house;
mod hostile_packets_are_judged;
mod listeners_change_at_once;
mod lost_packets_are_sent_again;
mod one_ssrc_from_two_sources;
mod several_packets_in_one_buffer;
mod tables;
mod tags_and_partial_checksums_at_tc;
mod ten_thousand_streams;
mod totals_outlive_streams;
mod two_parents_on_two_cpus;
mod verifier_walk_is_bounded;
mod who_may_send;
