//! The intervals and time-outs of a node that follows Redis.

use std::time::Duration;

use crate::contract::{NODE_REWRITTEN, NODE_TTL};
use crate::flow;

/// How often a node does each of these, and how long it waits. Tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time to live of the registration.
    pub ttl: Duration,
    /// How often the registration is written again, well within its time to live.
    pub rewrite: Duration,
    /// How often everything is read again in case an event was missed.
    pub reread: Duration,
    /// How often everything is read when the server has no keyspace notifications.
    pub poll: Duration,
    /// How often the server is asked whether it is there and still has the registration.
    pub pulse: Duration,
    /// For how long a child is named as new in the directory.
    pub new: Duration,
    /// How often the sentinels are asked whether the master is still the master.
    pub sentinel: Duration,
    /// How long connecting, and any answer, may take.
    pub answer: Duration,
    /// Pause between attempts to connect: the first, and the longest.
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
            new: flow::NEW,
            sentinel: Duration::from_secs(1),
            answer: Duration::from_secs(1),
            retry: [Duration::from_millis(50), Duration::from_millis(500)],
        }
    }
}
