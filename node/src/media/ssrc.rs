//! [`Ssrc`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The synchronization source of an RTP stream (RFC 3550 section 3): its name, unique in a tree. Not a port, a room or a
/// sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ssrc(pub u32);

impl Ssrc {
    /// As it is in a packet.
    pub const fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl From<u32> for Ssrc {
    fn from(number: u32) -> Ssrc {
        Ssrc(number)
    }
}

impl FromStr for Ssrc {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Ssrc, Self::Err> {
        text.trim().parse().map(Ssrc)
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
