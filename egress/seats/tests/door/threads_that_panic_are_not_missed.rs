//! A thread of the door panics, which none should: a handshake thread goes on with the next viewer, and without the thread that
//! reads the media port, or when it cannot read any more, the process ends, so that it is started again.

use std::num::NonZeroUsize;
use std::os::fd::FromRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use node::media::{Codec, PerKind, Ssrc, VideoCodec};
use seats::{Config, Inlet, Notice, Server, StreamSpec};

use crate::client::{By, Viewer};
use crate::stranger::admitted;
use crate::studio::{MOUNTPOINT, until};

/// A server that panics with its first bad news.
fn server() -> (Server, PerKind<Inlet>) {
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: Vec::new(),
        threads: NonZeroUsize::MIN,
        history: Duration::from_secs(1),
        keyframe_cache: Duration::from_secs(2),
    };
    let told = std::sync::Once::new();
    let server = Server::start(config, move |notice| {
        if matches!(notice, Notice::Gone(..)) {
            told.call_once_force(|state| assert!(state.is_poisoned(), "this thread panics once"));
        }
    })
    .unwrap();
    let streams = PerKind {
        audio: StreamSpec { ssrc: Ssrc(1001), codec: Codec::Opus },
        video: StreamSpec { ssrc: Ssrc(1002), codec: Codec::Video(VideoCodec::Vp8) },
    };
    let inlets = server.open(MOUNTPOINT, streams);
    (server, inlets)
}

#[test]
fn a_handshake_thread_goes_on() {
    let (server, _inlets) = server();
    let (seat, socket) = admitted(&server, Duration::from_secs(40)).unwrap();
    // An alert that ends the handshake.
    socket.send(&[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40]).unwrap();
    until("it is gone", || server.admit(seat, crate::stranger::peer(), Duration::ZERO).is_err());
    let mut viewer = Viewer::join(&server, MOUNTPOINT, By::Udp, true);
    viewer.until("another is up", |_| !server.figures().is_empty());
}

#[test]
fn without_the_door_all_ends() {
    ends(|| {
        let (server, _inlets) = server();
        // The door's thread tells of whoever is late.
        let _late = admitted(&server, Duration::ZERO).unwrap();
        std::thread::sleep(Duration::from_secs(20));
    });
}

#[test]
fn with_a_door_that_does_not_open_all_ends() {
    ends(|| {
        let (_server, _inlets) = server();
        let epoll = std::fs::read_dir("/proc/self/fd").unwrap().map(Result::unwrap).find(|fd| {
            std::fs::read_link(fd.path()).is_ok_and(|what| what.ends_with("anon_inode:[eventpoll]"))
        });
        let epoll: i32 = epoll.unwrap().file_name().to_str().unwrap().parse().unwrap();
        // SAFETY: the descriptor is the door's, which is to lose it.
        drop(unsafe { std::os::fd::OwnedFd::from_raw_fd(epoll) });
        std::thread::sleep(Duration::from_secs(20));
    });
}

/// A process that does this is ended by itself before it is done.
fn ends(process: impl FnOnce()) {
    /// Set in the process that is to end.
    const VICTIM: &str = "SEATS_TEST_VICTIM";
    if std::env::var_os(VICTIM).is_some() {
        process();
        std::process::exit(0);
    }
    let name = std::thread::current().name().unwrap().to_owned();
    let mut victim = Command::new(std::env::current_exe().unwrap());
    victim.args(["--exact", &name]).env(VICTIM, "1").stdout(Stdio::null()).stderr(Stdio::null());
    assert_eq!(victim.status().unwrap().signal(), Some(Signal::SIGABRT as i32));
}
