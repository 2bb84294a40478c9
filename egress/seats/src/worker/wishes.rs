//! Keyframes that viewers wait for: one request a second for each mountpoint, however many want it and with whichever worker
//! they sit.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use node::keyframe::Limiter;

/// What is wanted. Locked for who comes, who asks and for keyframes; not for packets.
#[derive(Default)]
pub struct Wishes(Mutex<Limiter<u64>>);

impl Wishes {
    /// Somebody needs a keyframe of this mountpoint. `true`: it is to be asked for now; otherwise [`Wishes::due`] gives it later.
    pub fn ask(&self, mountpoint: u64, now: Duration) -> bool {
        self.limiter().ask(mountpoint, now)
    }

    /// One has begun to come: who asked before will see it.
    pub fn served(&self, mountpoint: u64, at: Duration) {
        self.limiter().served(mountpoint, at);
    }

    /// Mountpoints of which one is to be asked for now.
    pub fn due(&self, now: Duration) -> Vec<u64> {
        self.limiter().take(now)
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
