//! The last line of a daemon's log says what becomes of the media.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod common;

use common::Daemon;
use nix::sys::signal::Signal;

#[test]
fn in_userspace_mode_forwarding_ends() {
    let (status, log) = Daemon::start(&[], &[]).stop(Signal::SIGTERM);
    assert!(status.success(), "{log}");
    assert!(log.contains("stopping; forwarding ends with the daemon") && !log.contains("goes on"), "{log}");
}
