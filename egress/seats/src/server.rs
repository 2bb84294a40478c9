//! [`Server`]: all of it together.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use node::media::{Codec, PerKind, Ssrc};

use crate::peer::{Credentials, Fingerprint, Peer, Seat};
use crate::worker::Inlet;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where viewers' packets come in: UDP, and TCP on the same number.
    pub listen: SocketAddr,
    /// Addresses that viewers are told of, where they differ from those of the machine (1:1 NAT).
    pub advertise: Vec<IpAddr>,
    /// Threads that send media.
    pub threads: NonZeroUsize,
    /// How long packets are kept for who asks again.
    pub history: Duration,
    /// A newcomer gets the last keyframe and what followed at once if it is younger than this; zero: never.
    pub keyframe_cache: Duration,
}

/// A seat that waits for its viewer.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Which.
    pub seat: Seat,
    /// Our side's ICE credentials for it.
    pub ice: Credentials,
}

/// What happens to seats and mountpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Media flows.
    Up(Seat),
    /// It is free again. Why, for the log.
    Gone(Seat, String),
    /// Viewers of a mountpoint need a keyframe that is not kept.
    KeyframeWanted(u64),
}

/// Why there is no seat.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such mountpoint.
    #[error("there is no mountpoint {0}")]
    NoMountpoint(u64),
    /// There is no such seat, or not any more.
    #[error("there is no such viewer")]
    NoSeat,
    /// Too many are about to connect.
    #[error("{0} viewers are about to connect, and no more may be")]
    TooManyJoining(usize),
}

/// One stream of a mountpoint, as the tree carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSpec {
    /// SSRC in the tree.
    pub ssrc: Ssrc,
    /// What it is coded with.
    pub codec: Codec,
}

/// What is known of a viewer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Packets and bytes sent, retransmissions included.
    pub packets: u64,
    /// See [`Figures::packets`].
    pub bytes: u64,
    /// Packets sent again because it asked.
    pub resent: u64,
    /// Packets that it asked for and that were not to be had any more.
    pub unanswered: u64,
    /// Packets that it lost by its own reports, before retransmission.
    pub lost: u64,
    /// Packets that could not be sent to it: its connection was full.
    pub dropped: u64,
    /// Round trip by its reports.
    pub rtt: Option<Duration>,
    /// Jitter of video by its reports.
    pub jitter: Option<Duration>,
    /// What its side says it can take: bit/s.
    pub estimate: Option<u64>,
}

/// Serves viewers.
pub struct Server {}

impl Server {
    /// Binds the media port and starts all threads. `notify` is called from these; it must not wait.
    pub fn start(
        _config: Config,
        _notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Server, String> {
        unimplemented!("the door's")
    }

    /// Our certificate's hash, for descriptions.
    pub fn fingerprint(&self) -> &Fingerprint {
        unimplemented!("the door's")
    }

    /// Our candidates, as the values of `a=candidate` lines: UDP and TCP (passive).
    pub fn candidates(&self) -> Vec<String> {
        unimplemented!("the door's")
    }

    /// A mountpoint begins. Gives where its streams are put in.
    pub fn open(&self, _mountpoint: u64, _streams: PerKind<StreamSpec>) -> PerKind<Inlet> {
        unimplemented!("the worker's")
    }

    /// It ends; its viewers are gone with it (each is told of by [`Notice::Gone`]).
    pub fn close(&self, _mountpoint: u64) {
        unimplemented!("the worker's")
    }

    /// Sets a seat aside for somebody who is about to be described to.
    pub fn invite(&self, _mountpoint: u64) -> Result<Invitation, Refusal> {
        unimplemented!("the door's")
    }

    /// The player has described itself: it may come in from now on, for as long as `within`.
    pub fn admit(&self, _seat: Seat, _peer: Peer, _within: Duration) -> Result<(), Refusal> {
        unimplemented!("the door's")
    }

    /// A player restarts ICE (RFC 9725 section 4.3.2): new credentials of both sides, media goes on meanwhile.
    pub fn restart(&self, _seat: Seat, _theirs: Credentials) -> Result<Credentials, Refusal> {
        unimplemented!("the door's")
    }

    /// It leaves. No notice follows.
    pub fn leave(&self, _seat: Seat) {
        unimplemented!("the door's")
    }

    /// What is known of all that are up.
    pub fn figures(&self) -> Vec<(Seat, Figures)> {
        unimplemented!("the worker's")
    }

    /// What was dropped, by reason; never falls.
    pub fn dropped(&self) -> Vec<(&'static str, u64)> {
        unimplemented!("the door's and the worker's")
    }
}
