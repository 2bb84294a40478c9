//! What is done about a mountpoint that ends, one thing after the other. Each may take a while, and anything may happen in between:
//! `explorer` tries that.

/// One thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Viewers are told that the session has ended.
    TellEnd,
    /// Its streams are let through no more.
    Unroute,
    /// The same, but they are waited for: when they come, the node is attached again.
    Shut,
    /// Those that it had when it was released before are waited for no more.
    GiveUp,
    /// Its viewers leave.
    Dismiss,
    /// The server ends it.
    Close,
    /// It is taken out of the books: its ports are free.
    Forget,
    /// The same, but its session goes on: it is made again when the node is attached.
    Keep,
}

/// Its session has ended. Viewers first: they hear it from us, and not from a picture that stands still.
pub const ENDING: &[Act] = &[Act::TellEnd, Act::Unroute, Act::GiveUp, Act::Dismiss, Act::Close, Act::Forget];
/// The node has been cut off for longer than the grace. Viewers have been told that it is interrupted, and it has not ended.
pub const RELEASING: &[Act] = &[Act::GiveUp, Act::Shut, Act::Dismiss, Act::Close, Act::Keep];
/// The session has ended of a mountpoint that was released.
pub const GIVING_UP: &[Act] = &[Act::TellEnd, Act::GiveUp, Act::Forget];
