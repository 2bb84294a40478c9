//! [`JanusLink`]: the connection to Janus as it stands.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{InjectorError, lock};
use crate::videoroom::VideoRoom;

/// The connection to Janus. It is up or down; whoever brings it up again is
/// [`Injector::keep_janus`](super::Injector::keep_janus).
pub(super) struct JanusLink {
    /// The connection, or why there is none.
    state: Mutex<Result<VideoRoom, String>>,
    connections: AtomicU64,
}

impl Default for JanusLink {
    fn default() -> Self {
        JanusLink {
            state: Mutex::new(Err("not connected to Janus yet".to_owned())),
            connections: AtomicU64::new(0),
        }
    }
}

impl JanusLink {
    /// Janus, or why it is not there.
    pub fn get(&self) -> Result<VideoRoom, InjectorError> {
        lock(&self.state).clone().map_err(InjectorError::NoJanus)
    }

    /// Why it is not there, if it is not.
    pub fn problem(&self) -> Option<String> {
        lock(&self.state).as_ref().err().cloned()
    }

    /// How often it was connected to.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// It is connected.
    pub fn up(&self, janus: VideoRoom) {
        *lock(&self.state) = Ok(janus);
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// It is not, because of that. Each reason is logged once.
    pub fn down(&self, why: String) {
        let mut state = lock(&self.state);
        if state.as_ref().err() != Some(&why) {
            tracing::warn!("{why}");
        }
        *state = Err(why);
    }
}
