//! Threads that send media. Each viewer sits with one of them, and all that is a viewer's is that thread's alone.

use crate::peer::{Seat, Taken};
use crate::send::Path;
use crate::srtp::Keys;
use node::media::PerKind;

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

/// What the door tells a worker.
pub enum Command {
    /// A viewer sits down.
    Sit(Box<Arrival>),
    /// It gets up.
    Rise(Seat),
    /// Its SRTP or SRTCP: as it came. There is a bound on how many wait.
    Heard(Seat, Vec<u8>),
    /// ICE has found another way to it.
    Moved(Seat, Path),
}
