//! A real broadcast in network namespaces: publisher, injection, relay, egress and viewers, with real Janus servers and a Redis.
//!
//! A module a behaviour. They share a process, and run beside each other, each in namespaces of its own: what a test changes of its
//! process it changes on a thread of its own. One that fails in company is judged alone (`--test-threads=1`).
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod a_janus_of_the_lab_comes_back;
mod a_rush_is_served;
mod a_viewer_costs_one_keyframe;
mod egress_added_while_viewers_watch;
mod gstreamers_player_plays;
mod many_watch_while_others_come_and_go;
mod nodes_killed_in_mid_broadcast;
mod one_door;
mod over_ipv6;
mod redis_loses_its_data;
mod two_relays_in_a_chain;
mod viewers_move_to_another_egress;
mod what_viewers_cost_is_measured;
mod whatever_happens_all_is_well_again;
mod whip_to_whep_through_the_kernel_relay;
