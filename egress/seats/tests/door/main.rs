//! Viewers come in by the media port of a real server: ICE, DTLS and SRTP by another implementation than ours (str0m).

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod client;
mod stranger;
mod studio;

mod a_slow_reader_loses_its_own_packets;
mod a_viewer_gets_all_of_it;
mod checks_without_the_password_get_no_answer;
mod connections_of_strangers_make_room;
mod dtls_without_end_ends;
mod each_reason_is_explained;
mod garbage_harms_nobody;
mod goodbyes_are_heard;
mod half_open_handshakes_harm_nobody;
mod handshakes_that_stand_still_make_room;
mod nobody_is_invited_to_what_has_ended;
mod nobody_is_sent_to_who_has_not_asked;
mod reports_are_heard_once;
mod the_way_to_a_viewer_changes;
mod threads_that_panic_are_not_missed;
