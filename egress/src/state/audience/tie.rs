//! Connections by which a viewer is told what concerns it alone, and says that it is still there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::Audience;

/// A connection for events that broke is made again by the browser within this time.
const EVENTS_RETURN_WITHIN: Duration = Duration::from_secs(5);

/// What one viewer is told: it is to go on elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it watches.
    pub session: String,
    /// Its name.
    pub viewer: String,
    /// The WHEP endpoint to go to.
    pub url: String,
}

/// A connection that a viewer hears by, as long as this is there.
pub struct Ear {
    audience: Arc<Audience>,
    session: String,
    viewer: String,
    number: u64,
}

/// One that says besides that the viewer is still there. A moment after the last has gone, so has the viewer.
pub struct Tie(Ear);

impl Audience {
    /// What a viewer is told goes there as well. A reader that is slow misses it, and is told again.
    pub fn hear(self: &Arc<Self>, session: &str, viewer: &str, calls: mpsc::Sender<Call>) -> Option<Ear> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.viewers().get_mut(session, viewer)?.ears.push((number, calls));
        Some(Ear { audience: self.clone(), session: session.to_owned(), viewer: viewer.to_owned(), number })
    }

    /// Ties a viewer to a connection.
    pub fn tie(self: &Arc<Self>, session: &str, viewer: &str, calls: mpsc::Sender<Call>) -> Option<Tie> {
        let ear = self.hear(session, viewer, calls)?;
        self.viewers().get_mut(session, viewer)?.ties += 1;
        Some(Tie(ear))
    }

    /// Tells a viewer. `false`: it does not hear.
    pub fn call(&self, call: &Call) -> bool {
        let ears = self.viewers().get(&call.session, &call.viewer).map(|seat| seat.ears).unwrap_or_default();
        // Every connection is told: which of them still has somebody at its end is not known.
        let told = ears.iter().filter(|(_, calls)| calls.try_send(call.clone()).is_ok());
        told.count() > 0
    }
}

impl Tie {
    /// Its session.
    pub fn session(&self) -> &str {
        &self.0.session
    }

    /// The viewer's name.
    pub fn viewer(&self) -> &str {
        &self.0.viewer
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        if let Some(seat) = self.audience.viewers().get_mut(&self.session, &self.viewer) {
            seat.ears.retain(|(number, _)| *number != self.number);
        }
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        let Ear { audience, session, viewer, .. } = &self.0;
        if let Some(seat) = audience.viewers().get_mut(session, viewer) {
            seat.ties -= 1;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (audience, session, viewer) = (audience.clone(), session.clone(), viewer.clone());
        runtime.spawn(async move {
            tokio::time::sleep(EVENTS_RETURN_WITHIN).await;
            let untied = audience.viewers().get(&session, &viewer).is_some_and(|seat| seat.ties == 0);
            if untied {
                let _ = audience.leave(&session, &viewer).await;
            }
        });
    }
}
