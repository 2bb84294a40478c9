//! [`JanusLink`]: the connection to Janus as it stands, and what Janus said last of what it gets.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::EgressError;
use crate::state::locked;
use crate::streaming::{Ages, Streaming};

/// The connection to Janus. It is up or down; whoever brings it up again is [`Egress::keep_janus`](super::Egress::keep_janus).
pub(super) struct JanusLink {
    /// The connection, or why there is none.
    state: Mutex<Result<Streaming, String>>,
    connections: AtomicU64,
    /// By mountpoint.
    ages: Mutex<BTreeMap<u64, Ages>>,
}

impl Default for JanusLink {
    fn default() -> Self {
        JanusLink {
            state: Mutex::new(Err("Janus has not been connected to yet".to_owned())),
            connections: AtomicU64::new(0),
            ages: Mutex::default(),
        }
    }
}

impl JanusLink {
    /// Janus, or why it is not there.
    pub fn get(&self) -> Result<Streaming, EgressError> {
        locked(&self.state).clone().map_err(EgressError::NoJanus)
    }

    /// Why it is not there, if it is not.
    pub fn problem(&self) -> Option<String> {
        locked(&self.state).as_ref().err().cloned()
    }

    /// It is connected.
    pub fn up(&self, streaming: Streaming) {
        *locked(&self.state) = Ok(streaming);
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// It is not, because of that. Whatever it said of its mountpoints is void.
    pub fn down(&self, why: String) {
        *locked(&self.state) = Err(why);
        locked(&self.ages).clear();
    }

    /// How often it came back.
    pub fn returns(&self) -> u64 {
        self.connections.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// What it said of all mountpoints.
    pub fn heard(&self, ages: BTreeMap<u64, Ages>) {
        *locked(&self.ages) = ages;
    }

    /// Time since the last packets of one mountpoint, as far as Janus said.
    pub fn ages(&self, mountpoint: u64) -> Ages {
        locked(&self.ages).get(&mountpoint).copied().unwrap_or_default()
    }
}
