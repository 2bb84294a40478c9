//! Media from inlets to viewers on loopback: real sockets and real keys, without ICE and DTLS.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod a_crowd_loses_nothing;
mod a_mountpoint_ends_for_all_who_watch;
mod a_slow_viewer_loses_its_own;
mod common;
mod keyframes_are_asked_for_once;
mod late_packets_have_their_own_numbers;
mod what_is_lacking_is_sent_again;
