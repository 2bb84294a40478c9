//! The sessions of a tree, from what the injections write and say. Pure: what Redis has, what events say and the time in;
//! what is different out.
//!
//! - [`hash`]: one session, as its hash `session:{sid}` or an event has it.
//! - [`follow`]: from events, one after the other, and from looks at Redis, which are the start and the repair, to changes.
//! - [`tell`]: how all nodes are told.
//! - [`ledger`]: whether what the server tells of the set of active sessions was somebody's who says the rest himself.

pub mod follow;
pub mod hash;
pub mod ledger;
pub mod tell;

use crate::media::{PerKind, Ssrc};

pub use follow::Sessions;
pub use hash::SessionHash;

/// A session of the tree, as far as nodes other than its injection care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `sessionId`.
    pub id: String,
    /// `audioSsrc` and `videoSsrc`.
    pub ssrcs: PerKind<Ssrc>,
    /// `roomId`, when it is there and a number.
    pub room_id: Option<u64>,
    /// `videoCodec`, when it is there.
    pub video_codec: Option<String>,
}

/// What is different from before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// It is new, or another than it was.
    Is(Session),
    /// It has ended.
    Ended(String),
}

impl SessionChange {
    /// Which session it is about.
    pub fn id(&self) -> &str {
        let (SessionChange::Is(Session { id, .. }) | SessionChange::Ended(id)) = self;
        id
    }
}

/// An event that says all that there is to say, and which of the tree's changes it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Number of the change: ms since 1970, or one more than that of the change before it if that is later.
    pub version: u64,
    /// Number of the change before it; 0: there was none.
    pub after: u64,
    /// What it is.
    pub change: SessionChange,
}
