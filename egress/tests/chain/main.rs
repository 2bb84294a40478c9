//! An egress with a real Janus, a real Redis, real RTP and a real browser, in network namespaces. Needs root.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;
#[path = "../../../node/tests/support/token.rs"]
mod token;

mod a_browser_decodes;
mod a_crowd_is_kept_within_limits;
mod a_foreign_socket_keeps_no_session_back;
mod a_full_receive_buffer_is_said;
mod a_janus_behind_one_to_one_nat_is_watched;
mod a_janus_that_comes_back_is_given_everything_again;
mod a_janus_that_hangs_does_not_keep_the_node;
mod a_join_is_told_in_one_line;
mod a_late_packet_keeps_its_number;
mod a_mountpoint_that_is_back_is_not_swept;
mod a_mountpoint_that_janus_makes_late_is_no_obstacle;
mod a_native_node_needs_no_janus;
mod a_new_parent_takes_over_without_loss;
mod a_player_is_offered_what_can_be_served;
mod a_republished_stream_is_announced;
mod a_restart_is_watched_through;
mod a_session_elsewhere_is_said;
mod a_session_too_many_leaves_the_node_ready;
mod an_egress_without_a_parent_is_not_ready;
mod an_ended_session_is_not_said_to_stall;
mod bad_requests_are_refused_and_leave_nothing;
mod counters_never_fall;
mod debian_s_own_janus_and_redis_are_recognised;
mod doctor_says_what_is_missing;
mod keyframes_are_asked_for_through_a_translation;
mod keyframes_are_asked_for_up_the_tree;
mod lost_packets_are_sent_again;
mod media_is_taken_from_the_parent_only;
mod mountpoints_follow_the_tree;
mod operators_have_a_listener_of_their_own;
mod players_are_answered_in_their_own_numbers;
mod players_are_told_what_happens;
mod players_restart_ice;
mod records_are_kept;
mod servers_say_how_viewers_fare;
mod silence_alone_cuts_nobody_off;
mod sound_keeps_its_sides;
mod strangers_harm_nobody;
mod tabs_share_a_connection;
mod the_page_can_be_read_everywhere;
mod the_page_is_used_by_keys_and_buttons;
mod the_page_keeps_its_join;
mod the_page_says_no_more_than_it_shows;
mod the_tree_is_drawn;
mod the_viewers_page_speaks_to_viewers;
mod two_parents_feed_an_egress;
mod viewers_are_sent_on;
mod viewers_of_a_node_that_is_cut_off_play_on;
mod viewers_reach_janus_by_turn_alone;
mod viewers_reach_the_media_port_by_tcp;
mod viewers_say_how_they_fare;
mod what_is_missing_is_asked_for;
mod whip_and_whep_speak_alike;
mod who_may_watch;
