//! Holds frames back until the other side takes them, then lets them go a few times faster than they came: all at once they
//! would be more than a socket's buffer holds, and slower they would be late for good.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much faster than they came.
const HASTE: u32 = 4;

/// Shared by the threads whose frames pass and the one that opens it.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    opened: Option<Instant>,
    ended: bool,
}

impl Gate {
    /// Lets frames pass from now on.
    pub fn open(&self) {
        self.lock().opened.get_or_insert_with(Instant::now);
        self.changed.notify_all();
    }

    /// Sends away who waits and who comes.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits until a frame may pass that is to be shown so long after the first of its kind. `false`: it may not, ever.
    pub fn passes(&self, after: Duration) -> bool {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let wait = match state.opened {
                _ if state.ended => return false,
                None => None,
                Some(opened) => match due(opened, after).checked_duration_since(now) {
                    None | Some(Duration::ZERO) => return true,
                    wait => wait,
                },
            };
            state = match wait {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a frame may pass. Frames that come as fast as they are shown are never early, once those that waited have gone.
fn due(opened: Instant, after: Duration) -> Instant {
    opened + after / HASTE
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_waited_goes_faster_than_it_came() {
        let (opened, ms) = (Instant::now(), Duration::from_millis);
        let waits = |after| due(opened, ms(after)) - opened;
        assert_eq!((waits(0), waits(400)), (ms(0), ms(100)));
    }

    #[test]
    fn nothing_passes_before_it_is_open() {
        let gate = Gate::default();
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| tell.send((gate.passes(Duration::ZERO), Instant::now())));
            let opening = Instant::now();
            gate.open();
            let (passed, when) = told.recv().unwrap();
            assert!(passed && when >= opening);
        });
        assert!(gate.passes(Duration::ZERO), "it stays open");
    }

    #[test]
    fn whoever_waits_at_its_end_is_sent_away() {
        let gate = Gate::default();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| gate.passes(Duration::ZERO));
            gate.end();
            assert!(!waits.join().unwrap());
        });
        gate.open();
        assert!(!gate.passes(Duration::ZERO));
    }
}
