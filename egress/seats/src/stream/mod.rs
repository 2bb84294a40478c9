//! One RTP stream of a mountpoint: numbered through, kept for a while, with its last keyframe. Pure: the time goes in.
//!
//! [`intake`] makes a [`Packet`] of what comes from the tree, once for all workers ([`numbering`]: which packet it is, whatever
//! publications do; [`timeline`]: when it was live). Each worker keeps what it may need again in a [`history`].

pub mod history;
pub mod intake;
pub mod numbering;
pub mod timeline;

use std::sync::Arc;
use std::time::Duration;

pub use history::{History, Put};
pub use intake::{Intake, Malformed};

/// One packet of a stream, without what each viewer has in its own numbers.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Its place in the stream. The next packet has the next index, also where a publication ends and another begins.
    pub index: u64,
    /// RTP timestamp; goes on where a publication ends and another begins.
    pub timestamp: u32,
    /// Marker bit: the last packet of a picture.
    pub marker: bool,
    /// A keyframe begins in it.
    pub keyframe: bool,
    /// When it came.
    pub arrived: Duration,
    /// When its timestamp was the present, by what came soonest lately: for sender reports.
    pub live: Duration,
    /// What is behind header, contributing sources and extensions; without padding. Empty in packets of padding only.
    pub payload: Arc<[u8]>,
}
