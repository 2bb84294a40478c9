//! [`Link`]: whether the server that serves viewers is there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::EgressError;
use crate::state::locked;

/// The way to the server. It is up or down; whoever brings it up again is [`Egress::keep_server`](super::Egress::keep_server).
pub(super) struct Link {
    /// Up, or why not.
    state: Mutex<Result<(), String>>,
    connections: AtomicU64,
}

impl Link {
    /// To a server that has not been reached yet.
    pub fn new(name: &str) -> Link {
        Link {
            state: Mutex::new(Err(format!("{name} has not been connected to yet"))),
            connections: AtomicU64::new(0),
        }
    }

    /// Nothing if it is there, otherwise why it is not.
    pub fn check(&self) -> Result<(), EgressError> {
        locked(&self.state).clone().map_err(EgressError::NoServer)
    }

    /// Why it is not there, if it is not.
    pub fn problem(&self) -> Option<String> {
        locked(&self.state).as_ref().err().cloned()
    }

    /// It is there.
    pub fn up(&self) {
        *locked(&self.state) = Ok(());
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// It is not, because of that.
    pub fn down(&self, why: String) {
        *locked(&self.state) = Err(why);
    }

    /// How often it came back.
    pub fn returns(&self) -> u64 {
        self.connections.load(Ordering::Relaxed).saturating_sub(1)
    }
}
