//! The relay in network namespaces: real packets through veth pairs, in every mode, with and without a Redis.
//!
//! A module a behaviour. They share a process, and run beside each other, each in namespaces of its own: what a test changes of its
//! process it changes on a thread of its own. One that fails in company is judged alone (`--test-threads=1`).
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

#[macro_use]
mod common;

mod a_daemon_that_hangs_is_seen_through;
mod a_dropped_lab_leaves_nothing_behind;
mod a_flood_of_ssrcs_takes_nothing_from_real_streams;
mod a_lost_topology_is_held_for_a_grace;
mod a_newer_layout_takes_over_without_loss;
mod a_redis_of_the_lab_keeps_its_data;
mod a_redis_that_refuses_is_said;
mod a_relay_is_drained;
mod a_restart_keeps_children_that_do_not_resolve;
mod a_second_daemon_is_told_who_is_there;
mod a_source_survives_an_outage;
mod an_edge_is_counted_at_both_ends;
mod an_interface_made_again_is_attached_to_again;
mod an_unreachable_child_is_logged_once;
mod auto_falls_back_when_copies_stop_getting_through;
mod auto_mode_takes_what_works;
mod bad_input;
mod bpftool_dump_has_field_names;
mod bursts_are_counted_as_packets;
mod bursts_over_a_small_mtu_arrive;
mod capture_shows_copies;
mod captures_show_checksums;
mod chain_of_two_relays;
mod children_change_under_load_without_loss;
mod control_plane_is_guarded;
mod daemon_killed_and_restarted_without_loss;
mod detach_removes_everything;
mod doctor_knows_the_relays_own_program;
mod failed_changes_are_undone;
mod fan_out_to_eight_children_is_exact;
mod foreign_packets_reach_the_stack;
mod interface_down_and_up;
mod interfaces_with_a_dot_are_attached_to;
mod ipv6_children_and_sources;
mod keyframe_requests_go_up_the_tree;
mod links_lose_delay_and_reorder;
mod looking_never_touches_a_running_card;
mod loops_are_refused;
mod lost_packets_are_asked_for;
mod lost_packets_are_sent_again;
mod mapped_addresses_are_not_local;
mod maps_show_what_is_in_use;
mod media_is_taken_from_the_parent_only;
mod media_is_taken_from_the_sources_configured;
mod mode_changes_without_loss;
mod names_with_both_ip_versions_follow_the_media;
mod neighbour_mac_change_is_followed;
mod one_of_two_parents_ends;
mod one_slow_child_does_not_slow_the_others;
mod prometheus_scrapes_the_relay;
mod random_redis_changes_lose_nothing;
mod received_packets_have_good_checksums;
mod redis_cli_sadd_brings_media;
mod redis_outage_never_stops_media;
mod restart_follows_redis;
mod route_gives_a_stream_its_own_children;
mod rtcp_goes_to_all_children;
mod source_to_sink;
mod streams_are_spread_over_cpus;
mod tc_sees_packets_first;
mod the_other_of_two_parents_is_asked;
mod the_registered_address_is_the_relay_s_own;
mod the_rights_of_the_service_are_enough;
mod topologies_reach_every_child;
mod trouble_with_a_child_shows;
mod two_egress_interfaces;
mod two_relays_mount_one_bpffs;
mod two_sessions_through_one_relay;
mod verify_ssrc_script;
mod vlan_tagged_media_is_forwarded_untagged;
mod what_is_lost_between_nodes;
mod xdp_holds_its_interfaces;
