//! A node in its tree, with a real Redis: each file is one behaviour. What a node does with media is not tested here: it
//! is played by a recorder.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

mod a_change_during_another_is_not_lost;
mod a_child_is_taken_when_it_registers;
mod a_child_that_moves_is_moved;
mod a_drain_that_is_undone_leaves_nothing_half_way;
mod a_full_read_mends_what_was_missed;
mod a_hung_server_is_noticed;
mod a_key_of_the_wrong_type_is_said;
mod a_large_tree_has_a_sound_size;
mod a_plain_command_takes_effect_at_once;
mod a_read_only_replica_is_read;
mod a_redis_cluster_is_followed;
mod a_refresh_waits_for_its_look;
mod a_second_node_of_one_name_is_refused;
mod a_sentinel_fail_over_is_followed;
mod a_server_that_refuses_writes_is_read;
mod a_stop_takes_the_registration_back;
mod a_thousand_changes_cost_a_few_looks;
mod a_user_with_few_rights_is_enough;
mod a_wrong_password_is_said_until_it_is_right;
mod an_expired_registration_keeps_the_child;
mod latency;
mod lost_data_is_held_for_the_grace;
mod lost_sessions_are_held_for_the_grace;
mod notifications_are_kept_on;
mod one_door_sends_viewers_where_they_can_watch;
mod published_events_are_enough;
mod sessions_are_told_when_they_change;
mod the_directory_has_who_is_there;
mod the_directory_says_who_carries_a_session;
mod the_parent_is_followed;
mod the_registration_is_kept_alive;
mod the_return_of_redis_is_used_at_once;
mod the_whole_tree_is_seen;
mod tls_trusts_the_given_authority;
mod what_dead_nodes_left_is_swept;
mod who_is_not_heard_of_is_doubtful;
mod who_may_not_sweep_says_what_it_lacks;
