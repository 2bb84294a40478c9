//! How often what is done.

use std::time::Duration;

use crate::contract::{NODE_REWRITTEN, NODE_TTL};

/// Times of a node that follows Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time to live of the registration.
    pub ttl: Duration,
    /// The registration is written again.
    pub rewrite: Duration,
    /// Everything is read again, although nothing was heard.
    pub reread: Duration,
    /// The same when the server tells nothing of plain commands.
    pub poll: Duration,
    /// Whether the server is there, and the registration in it.
    pub pulse: Duration,
    /// Whether the master is still the master.
    pub sentinel: Duration,
    /// Connecting, and any answer, may take this long.
    pub answer: Duration,
    /// From one attempt to connect to the next: first, and at most.
    pub retry: [Duration; 2],
}

impl Default for Timing {
    /// Those of docs/contract.md, *Redis*.
    fn default() -> Timing {
        Timing {
            ttl: NODE_TTL,
            rewrite: NODE_REWRITTEN,
            reread: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            pulse: Duration::from_secs(2),
            sentinel: Duration::from_secs(1),
            answer: Duration::from_secs(1),
            retry: [Duration::from_millis(50), Duration::from_millis(500)],
        }
    }
}
