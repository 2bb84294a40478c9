//! [`Audience`]: the viewers. Each has a seat in the server, for as long as it is connected. `tie`: how one hears, and says that it is
//! still there; `coming`: what it wants, and what it is answered; `stay`: what happens to it then, until it has gone; `joining`: what
//! is told of how it came.

mod coming;
mod joining;
mod stay;
mod tie;
mod wish;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use node::http::wish::IceSession;
use node::webhook::Webhooks;
use tokio::sync::mpsc;

pub use coming::{COUNTER_OFFER_HOLDS, Newcomer, Reply};
pub use tie::{Call, Ear, Tie};

use super::{EgressError, locked};
use crate::capacity::Place;
use crate::joins::{self, Join};
use crate::moves::Viewer;
use crate::reports::{self, Unheard};
use crate::server;
use crate::viewers::Viewers;

/// How long the viewers of a session that has ended are waited for.
const DISMISSED_WITHIN: Duration = Duration::from_secs(2);

/// What belongs to a viewer.
#[derive(Clone)]
struct Seat {
    /// In the server.
    there: Arc<dyn server::Seat>,
    /// What it may trickle.
    ice: Arc<IceSession>,
    /// How often it has begun another ICE session.
    restarts: u32,
    /// The server's offer has not been answered yet.
    waits: bool,
    /// Connections that say that it is still there.
    ties: usize,
    /// Connections that it is told by, each with a number of its own.
    ears: Vec<(u64, mpsc::Sender<Call>)>,
    /// What it plays with, in its own words.
    player: Arc<str>,
    /// Since when its connection is up.
    up: Option<Instant>,
    /// When it last said how it fares.
    reported: Option<Instant>,
    /// Its place among all viewers.
    place: Arc<Place>,
    /// How its join goes.
    join: Arc<Mutex<Join>>,
}

/// A viewer whose connection is up, for operators.
pub struct Seated {
    /// Its session.
    pub session: String,
    /// What it is called, and cannot be ended by.
    pub name: String,
    /// Number of its seat in the server.
    pub seat: u64,
    /// What it plays with, in its own words.
    pub player: Arc<str>,
    /// For how long.
    pub up: Duration,
}

/// All viewers of this node.
pub struct Audience {
    viewers: Mutex<Viewers<Seat>>,
    joins: joins::Books,
    webhooks: Webhooks,
    /// What serves them, for the log.
    server: &'static str,
}

impl Audience {
    /// Nobody yet.
    pub(super) fn new(webhooks: Webhooks, server: &'static str) -> Arc<Audience> {
        Arc::new(Audience { viewers: Mutex::default(), joins: joins::Books::default(), webhooks, server })
    }

    /// Whether there is such a viewer, or the answer that there is none.
    pub fn is_seated(&self, session: &str, viewer: &str) -> Result<(), EgressError> {
        self.seat(session, viewer).map(drop)
    }

    /// A viewer says how it fares, and is heard or not.
    pub fn reports(&self, session: &str, viewer: &str) -> Result<Result<(), Unheard>, EgressError> {
        let mut viewers = self.viewers();
        let seat = viewers.get_mut(session, viewer).ok_or(EgressError::UnknownViewer)?;
        let heard = reports::hear(seat.up.is_some(), seat.reported.map(|at| at.elapsed()));
        if heard.is_ok() {
            seat.reported = Some(Instant::now());
        }
        Ok(heard)
    }

    /// A viewer leaves.
    pub async fn leave(&self, session: &str, viewer: &str) -> Result<(), EgressError> {
        self.seat(session, viewer)?;
        let seat = self.viewers().end(viewer);
        if let Some(seat) = seat {
            seat.there.leave().await;
        }
        Ok(())
    }

    /// Everybody, those whose connection is about to come up included.
    pub(super) fn everybody(&self) -> Vec<Viewer> {
        let viewers = self.viewers();
        let viewer = |(name, session, seat): (&str, &str, &Seat)| Viewer {
            session: session.to_owned(),
            name: name.to_owned(),
            hears: !seat.ears.is_empty(),
        };
        viewers.everybody().map(viewer).collect()
    }

    /// Sessions that somebody watches, or is about to.
    pub(super) fn watched(&self) -> Vec<String> {
        self.viewers().watched().into_iter().map(str::to_owned).collect()
    }

    /// All viewers of a session leave: the server is told of all of them at once, and waited for no longer than a moment. It does
    /// what it is told in any case.
    pub(super) async fn dismiss(&self, session: &str) {
        let seats = self.viewers().end_session(session);
        let leaving = join_all(seats.iter().map(|seat| seat.there.leave()));
        if tokio::time::timeout(DISMISSED_WITHIN, leaving).await.is_err() {
            tracing::warn!("session {session}: the server is slow to dismiss {} viewers", seats.len());
        }
    }

    /// Their connections are gone, and the server with them.
    pub(super) fn clear(&self) {
        self.viewers().clear();
    }

    /// How many are connected to a session.
    pub fn of(&self, session: &str) -> usize {
        self.viewers().of(session)
    }

    /// How many are connected, are about to be, and have been since the start.
    pub fn count(&self) -> (usize, usize, u64) {
        let viewers = self.viewers();
        let (connected, connecting) = viewers.count();
        (connected, connecting, viewers.served())
    }

    /// All who are connected: to one session, or to any.
    pub fn seated(&self, session: Option<&str>) -> Vec<Seated> {
        let viewers = self.viewers();
        let wanted = viewers.all().filter(|(_, of, _)| session.is_none_or(|session| session == *of));
        let seated = wanted.map(|(viewer, session, seat)| Seated {
            session: session.to_owned(),
            name: name(viewer).to_owned(),
            seat: seat.there.number(),
            player: seat.player.clone(),
            up: seat.up.map(|up| up.elapsed()).unwrap_or_default(),
        });
        seated.collect()
    }

    fn seat(&self, session: &str, viewer: &str) -> Result<Seat, EgressError> {
        self.viewers().get(session, viewer).ok_or(EgressError::UnknownViewer)
    }

    fn viewers(&self) -> MutexGuard<'_, Viewers<Seat>> {
        locked(&self.viewers)
    }
}

/// What others call a viewer: not by the name that it can be ended by.
fn name(viewer: &str) -> &str {
    viewer.get(..16).unwrap_or(viewer)
}
