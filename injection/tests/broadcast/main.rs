//! The injection as a program, with a real Janus and a real Redis, publishers that speak WHIP, and a child that listens.
//!
//!     namespace node: Redis, Janus, injection 10.77.0.1 ---veth--- 10.77.0.2 namespace far: publishers, child
//!
//! Needs root. One behaviour per module; each has namespaces of its own, so they run beside each other.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;
#[path = "../../../node/tests/support/token.rs"]
mod token;

mod a_child_that_nothing_can_be_sent_to_is_said;
mod a_creation_without_an_answer_can_be_tried_again;
mod a_dead_publisher_loses_its_place;
mod a_hang_up_in_the_middle_leaks_nothing;
mod a_janus_behind_one_to_one_nat_is_published_to;
mod a_place_is_taken_over_as_configured;
mod a_publication_survives_a_network_that_is_away;
mod a_restart_takes_sessions_up_again;
mod a_session_has_recipients_of_its_own;
mod bad_input_is_refused;
mod children_come_and_go_while_media_flows;
mod counters_never_fall;
mod doctor_says_what_is_missing;
mod drained_it_keeps_those_who_publish;
mod firefox_publishes;
mod gstreamer_publishes_by_rtmp;
mod janus_comes_back_with_its_rooms;
mod keyframe_requests_reach_the_publisher;
mod lost_packets_are_sent_again;
mod lost_sessions_are_written_again;
mod media_that_are_no_bundle_come_too;
mod metrics_please_promtool;
mod nothing_is_leaked;
mod offers_are_taken_as_encoders_write_them;
mod operators_have_a_listener_of_their_own;
mod publishers_need_the_token;
mod publishers_reach_janus_by_turn_alone;
mod publishing_again_goes_on_without_a_gap;
mod redis_may_come_late_and_go;
mod rtmp_comes_through_a_proxy;
mod rtmp_encoders_are_refused_in_words;
mod rtmp_encoders_change_as_they_go;
mod rtmp_encoders_free_their_place;
mod rtmp_encoders_of_many_makes_publish;
mod rtmp_encoders_publish;
mod rtmp_is_spoken_in_many_ways;
mod rtmp_pictures_of_another_size_are_decoded;
mod rtmp_places_are_shared;
mod rtmp_strangers_harm_nobody;
mod rtp_is_taken_from_janus_only;
mod sessions_are_unique_in_the_tree;
mod sessions_of_a_dead_injection_can_be_ended;
mod simulcast_is_carried_in_its_largest_size;
mod the_page_begins_large;
mod the_page_publishes;
mod the_page_says_what_is_so;
mod the_page_survives_a_network_that_is_away;
mod the_publishers_page_can_be_read_everywhere;
mod two_nodes_do_not_write_at_once;
mod whip_and_whep_speak_alike;
mod whip_answers_as_its_table_says;
mod whip_speaks_rfc_9725;
mod who_may_publish;
