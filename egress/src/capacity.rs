//! How many may watch, join and listen, in all and of one client: what one of them takes is not to be missed by the others.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use node::http::{Busy, Client, NoShare, Rate, Rates, Share, Shares};

use crate::turns::{self, Late, Turn, Turns};

/// When a node is full of viewers, one of them has to leave first.
const FULL_FOR: Duration = Duration::from_secs(9);

/// How many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Viewers, those that join included.
    pub viewers: usize,
    /// Viewers whose connection is about to come up.
    pub joining: usize,
    /// Of one client.
    pub client_joining: usize,
    /// Joins of one client.
    pub client_joins: Rate,
    /// Connections for events.
    pub events: usize,
    /// Of one client.
    pub client_events: usize,
}

/// Which of them was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `max-viewers`.
    Viewers,
    /// `max-joining`.
    Joining,
    /// A turn did not come within [`turns::WAIT`].
    Waiting,
    /// Nor here, and one's own client had turns meanwhile.
    ClientWaiting,
    /// `max-client-joining`.
    ClientJoining,
    /// `max-client-joins`.
    ClientJoins,
    /// `max-events`.
    Events,
    /// `max-client-events`.
    ClientEvents,
}

impl Limit {
    /// All of them.
    pub const ALL: [Limit; 8] = [
        Limit::Viewers,
        Limit::Joining,
        Limit::Waiting,
        Limit::ClientWaiting,
        Limit::ClientJoining,
        Limit::ClientJoins,
        Limit::Events,
        Limit::ClientEvents,
    ];

    /// As the metric's label has it.
    pub fn name(self) -> &'static str {
        match self {
            Limit::Viewers => "viewers",
            Limit::Joining => "joining",
            Limit::Waiting => "waiting",
            Limit::ClientWaiting => "client_waiting",
            Limit::ClientJoining => "client_joining",
            Limit::ClientJoins => "client_joins",
            Limit::Events => "events",
            Limit::ClientEvents => "client_events",
        }
    }

    fn why(self) -> &'static str {
        match self {
            Limit::Viewers => "this node is full (max-viewers)",
            Limit::Joining => "too many join at once (max-joining)",
            Limit::Waiting => "more join than this node gets done: it would have taken more than 10 s",
            Limit::ClientWaiting => {
                "more join from this address than its share: it would have taken more than 10 s"
            }
            Limit::ClientJoining => "too many join from this address at once (max-client-joining)",
            Limit::ClientJoins => "too many joins from this address (max-client-joins)",
            Limit::Events => "too many listen for events (max-events)",
            Limit::ClientEvents => "too many listen for events from this address (max-client-events)",
        }
    }

    /// All together want too much of this node: another one may have it.
    pub fn is_of_this_node(self) -> bool {
        match self {
            Limit::Viewers | Limit::Joining | Limit::Waiting | Limit::Events => true,
            Limit::ClientWaiting | Limit::ClientJoining | Limit::ClientJoins | Limit::ClientEvents => false,
        }
    }

    /// Whether it is one client that wants too much, or all together.
    fn status(self) -> StatusCode {
        if self.is_of_this_node() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::TOO_MANY_REQUESTS }
    }
}

/// Somebody cannot come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Because of this.
    pub limit: Limit,
    /// Before this it makes no sense to come again.
    pub wait: Duration,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Refused { limit, wait } = self;
        Busy { status: limit.status(), why: limit.why(), wait, closes: false }.into_response()
    }
}

/// Who is in.
pub struct Capacity {
    most: Most,
    viewers: AtomicUsize,
    joining: Arc<Shares>,
    joins: Rates,
    turns: Turns,
    events: Arc<Shares>,
    refused: [AtomicU64; Limit::ALL.len()],
}

impl Capacity {
    /// Nobody is in yet.
    pub fn new(most: Most) -> Arc<Capacity> {
        Arc::new(Capacity {
            viewers: AtomicUsize::new(0),
            joining: Shares::new(most.joining, most.client_joining),
            joins: Rates::new(most.client_joins),
            turns: Turns::of_this_machine(),
            events: Shares::new(most.events, most.client_events),
            refused: Default::default(),
            most,
        })
    }

    /// Viewers now, and the most that there may be.
    pub fn viewers(&self) -> [usize; 2] {
        [self.viewers.load(Ordering::Acquire), self.most.viewers]
    }

    /// A viewer's place, for as long as it is kept.
    pub fn viewer(self: &Arc<Self>, client: Client) -> Result<Place, Refused> {
        self.joins.check(client).map_err(|wait| self.refuse(Limit::ClientJoins, wait))?;
        let more = |viewers: usize| (viewers < self.most.viewers).then_some(viewers + 1);
        self.viewers
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .map_err(|_| self.refuse(Limit::Viewers, FULL_FOR))?;
        let place = Place { capacity: self.clone(), joining: Mutex::default(), turn: Mutex::default() };
        let share = self.joining.take(client).map_err(|full| {
            let limit = if full == NoShare::All { Limit::Joining } else { Limit::ClientJoining };
            self.refuse(limit, Duration::ZERO)
        })?;
        *locked(&place.joining) = Some(share);
        Ok(place)
    }

    /// Waits until it is this viewer's turn to be answered.
    pub async fn turn(&self, client: Client, place: &Place) -> Result<(), Refused> {
        let turn = self.turns.wait(client).await.map_err(|late| {
            let limit = if late == Late::All { Limit::Waiting } else { Limit::ClientWaiting };
            self.refuse(limit, turns::WAIT)
        })?;
        *locked(&place.turn) = Some(turn);
        Ok(())
    }

    /// A connection for events.
    pub fn listener(&self, client: Client) -> Result<Share, Refused> {
        self.events.take(client).map_err(|full| match full {
            NoShare::All => self.refuse(Limit::Events, FULL_FOR),
            NoShare::OfOne => self.refuse(Limit::ClientEvents, FULL_FOR),
        })
    }

    /// One look.
    pub fn view(&self) -> View {
        View {
            joining: self.joining.taken_now(),
            listening: self.events.taken_now(),
            refused: Limit::ALL.map(|limit| self.refused[limit as usize].load(Ordering::Relaxed)),
        }
    }

    fn refuse(&self, limit: Limit, wait: Duration) -> Refused {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
        Refused { limit, wait }
    }
}

/// How many are in, and how many were refused.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Viewers whose connection is about to come up.
    pub joining: usize,
    /// Connections for events.
    pub listening: usize,
    /// How many have met each limit, in the order of [`Limit::ALL`].
    pub refused: [u64; Limit::ALL.len()],
}

/// A viewer's place.
pub struct Place {
    capacity: Arc<Capacity>,
    /// Until its connection is up.
    joining: Mutex<Option<Share>>,
    /// As long, and no longer than [`turns::LASTS`].
    turn: Mutex<Option<Turn>>,
}

impl Place {
    /// Its connection is up: it joins no more.
    pub fn joined(&self) {
        self.passes();
        locked(&self.joining).take();
    }

    /// It is the next one's turn.
    pub fn passes(&self) {
        locked(&self.turn).take();
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.capacity.viewers.fetch_sub(1, Ordering::AcqRel);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn client(text: &str) -> Client {
        Client::new(text.parse().unwrap())
    }

    fn capacity(viewers: usize, joining: usize, client_joining: usize) -> Arc<Capacity> {
        let client_joins = Rate { burst: NonZeroU32::new(8).unwrap(), per_second: NonZeroU32::MIN };
        Capacity::new(Most { viewers, joining, client_joining, client_joins, events: 3, client_events: 2 })
    }

    fn why<T>(refused: Result<T, Refused>) -> (Limit, u16) {
        let refused = refused.err().unwrap();
        (refused.limit, refused.into_response().status().as_u16())
    }

    #[test]
    fn one_client_takes_nobody_elses_place() {
        let capacity = capacity(4, 3, 2);
        let (one, other) = (client("10.0.0.1"), client("10.0.0.2"));
        let first = capacity.viewer(one).unwrap();
        let _second = capacity.viewer(one).unwrap();
        assert_eq!(why(capacity.viewer(one)), (Limit::ClientJoining, 429));
        let _third = capacity.viewer(other).unwrap();
        assert_eq!(why(capacity.viewer(client("10.0.0.3"))), (Limit::Joining, 503));
        // Who is up joins no more, but is a viewer.
        first.joined();
        let fourth = capacity.viewer(one).unwrap();
        assert_eq!(why(capacity.viewer(client("10.0.0.4"))), (Limit::Viewers, 503));
        assert_eq!(capacity.view().joining, 3);
        drop((first, fourth));
        assert!(capacity.viewer(other).is_ok());
        assert_eq!(capacity.view().refused, [1, 1, 0, 0, 1, 0, 0, 0]);
        let used = capacity.viewers.load(Ordering::Relaxed);
        assert_eq!(used, 2, "who was refused has no place");
    }

    #[test]
    fn whoever_meets_a_limit_of_this_node_may_find_room_at_another() {
        let capacity = capacity(4, 2, 1);
        let refused = |text: &str| capacity.viewer(client(text)).err().map(|refused| refused.limit);
        let _first = capacity.viewer(client("10.0.0.1")).unwrap();
        assert!(refused("10.0.0.1").is_some_and(|limit| !limit.is_of_this_node()));
        let _second = capacity.viewer(client("10.0.0.2")).unwrap();
        assert!(refused("10.0.0.3").is_some_and(Limit::is_of_this_node));
        for limit in Limit::ALL {
            let is_busy = limit.status() == StatusCode::SERVICE_UNAVAILABLE;
            assert_eq!(limit.is_of_this_node(), is_busy, "{limit:?}");
        }
    }

    #[test]
    fn joins_of_one_client_are_counted_in_time() {
        let capacity = capacity(100, 100, 100);
        for _ in 0..8 {
            capacity.viewer(client("10.0.0.1")).unwrap();
        }
        assert_eq!(why(capacity.viewer(client("10.0.0.1"))), (Limit::ClientJoins, 429));
        assert!(capacity.viewer(client("10.0.0.2")).is_ok());
    }

    #[test]
    fn so_many_listen_for_events() {
        let capacity = capacity(1, 1, 1);
        let (one, other) = (client("10.0.0.1"), client("10.0.0.2"));
        let _all = [capacity.listener(one).unwrap(), capacity.listener(one).unwrap()];
        assert_eq!(why(capacity.listener(one)), (Limit::ClientEvents, 429));
        let last = capacity.listener(other).unwrap();
        assert_eq!(why(capacity.listener(client("10.0.0.3"))), (Limit::Events, 503));
        drop(last);
        assert!(capacity.listener(other).is_ok());
    }
}
