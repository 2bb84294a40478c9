//! Viewers come in by the media port of a real server: ICE, DTLS and SRTP by another implementation than ours (str0m).

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod client;
mod studio;

mod a_viewer_gets_all_of_it;
