//! Threads that send media. Each viewer sits with one of them, and all that is a viewer's is that thread's alone.

use std::net::UdpSocket;
use std::sync::Arc;

use node::media::PerKind;

use crate::peer::{Seat, Taken};
use crate::send::Path;
use crate::server::{Config, Figures, Notice, StreamSpec};
use crate::srtp::Keys;

/// Is told what happens, from the workers' threads. It must not wait.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

/// A viewer whose keys are there.
pub struct Arrival {
    /// Which seat.
    pub seat: Seat,
    /// What it watches.
    pub mountpoint: u64,
    /// What it takes.
    pub media: PerKind<Option<Taken>>,
    /// By DTLS.
    pub keys: Keys,
    /// By ICE.
    pub path: Path,
}

/// All the threads. Nothing here waits: what is asked for happens in the order in which it was asked for.
pub struct Workers {}

impl Workers {
    /// Starts [`Config::threads`] of them. They send from `socket`, which is non-blocking and read by somebody else.
    ///
    /// Of [`Notice::Gone`] they tell when a mountpoint ends under its viewers, or somebody sits down at one that has ended;
    /// not of a viewer that was told to [rise](Self::rise).
    pub fn start(_config: &Config, _socket: Arc<UdpSocket>, _notify: Notify) -> Result<Workers, String> {
        unimplemented!()
    }

    /// A mountpoint begins; one that has this number already ends. Gives where its streams are put in.
    pub fn open(&self, _mountpoint: u64, _streams: PerKind<StreamSpec>) -> PerKind<Inlet> {
        unimplemented!()
    }

    /// It ends, and its viewers are gone.
    pub fn close(&self, _mountpoint: u64) {
        unimplemented!()
    }

    /// There is such a mountpoint.
    pub fn knows(&self, _mountpoint: u64) -> bool {
        unimplemented!()
    }

    /// A viewer sits down, and [`Notice::Up`] or [`Notice::Gone`] follows.
    pub fn sit(&self, _arrival: Arrival) {
        unimplemented!()
    }

    /// It gets up.
    pub fn rise(&self, _seat: Seat) {
        unimplemented!()
    }

    /// Its SRTP or SRTCP, as it came. What a worker cannot take in time is counted and forgotten; who sends too much is to be
    /// kept back before this, lest the others' be forgotten, too.
    pub fn heard(&self, _seat: Seat, _packet: &[u8]) {
        unimplemented!()
    }

    /// ICE has found another way to it.
    pub fn moved(&self, _seat: Seat, _path: Path) {
        unimplemented!()
    }

    /// What is known of all that sit, as of a second ago at most.
    pub fn figures(&self) -> Vec<(Seat, Figures)> {
        unimplemented!()
    }

    /// What was dropped, by reason; never falls.
    pub fn dropped(&self) -> Vec<(&'static str, u64)> {
        unimplemented!()
    }
}

/// Where a stream's packets are put in. Whoever holds it may push from any one thread; it never waits.
pub struct Inlet {}

impl Inlet {
    /// An RTP packet as it came from the tree, header included. What the workers cannot take in time is counted as lost.
    pub fn push(&self, _packet: &[u8]) {
        unimplemented!()
    }
}
