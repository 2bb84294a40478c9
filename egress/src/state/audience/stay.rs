//! [`Stay`]: a viewer from its answer until it has gone.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::joining::{Following, TOLD_AFTER};
use super::{Audience, Seat, name};
use crate::joins::{Outcome, Stage};
use crate::mountpoints::Mountpoint;
use crate::server::{CONNECTS_WITHIN, SeatEvent};
use crate::turns;

/// Somebody who has been answered.
pub(super) struct Stay {
    audience: Arc<Audience>,
    viewer: String,
    mountpoint: Mountpoint,
    following: Following,
    due: Due,
    /// When its connection came up first.
    joined: Option<Instant>,
}

/// What happens if nothing else does, and when; once each.
struct Due {
    /// It is the next one's turn.
    passes: Option<Instant>,
    /// It should have answered the server's offer.
    answers: Option<Instant>,
    /// Its connection should be up.
    connects: Option<Instant>,
    /// Its join is told of without what its page says.
    told: Option<Instant>,
}

impl Stay {
    /// It is answered now.
    pub(super) fn begin(
        audience: Arc<Audience>,
        viewer: String,
        mountpoint: Mountpoint,
        following: Following,
        answers_within: Duration,
    ) -> Stay {
        let now = Instant::now();
        let due = Due {
            passes: Some(now + turns::LASTS),
            answers: Some(now + answers_within),
            connects: Some(now + CONNECTS_WITHIN),
            told: None,
        };
        Stay { audience, viewer, mountpoint, following, due, joined: None }
    }

    /// Follows what happens to it until it has gone.
    pub(super) async fn follow(mut self, mut events: BoxStream<'static, SeatEvent>) {
        let gone = loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(SeatEvent::Up) => self.is_up(),
                    Some(SeatEvent::Shown) => self.audience.reached(&self.following.join, Stage::FirstPacket),
                    Some(SeatEvent::Gone(why)) => break Some(why),
                    None => break None,
                },
                () = at(self.due.passes) => {
                    self.due.passes = None;
                    self.with_seat(|seat| seat.place.passes());
                }
                () = at(self.due.answers) => {
                    self.due.answers = None;
                    if self.with_seat(|seat| seat.waits) == Some(true) {
                        break Some("it has not answered the offer".to_owned());
                    }
                }
                () = at(self.due.connects) => break Some("its connection does not come up".to_owned()),
                () = at(self.due.told) => {
                    self.due.told = None;
                    self.tell(Outcome::Connected);
                }
            }
        };
        self.ends(gone).await;
    }

    /// Its connection is up: for the first time, or again.
    fn is_up(&mut self) {
        // It may have left just now.
        if self.audience.viewers().connected(&self.viewer) {
            self.due.connects = None;
            if self.joined.is_none() {
                let now = Instant::now();
                self.joined = Some(now);
                self.due.told = Some(now + TOLD_AFTER);
                self.audience.reached(&self.following.join, Stage::Connected);
                self.audience.joins.ended(Outcome::Connected);
                self.audience.webhooks.tell("viewer.joined", told(&self.mountpoint, &self.viewer));
            }
        }
        self.with_seat(|seat| {
            seat.up.get_or_insert_with(std::time::Instant::now);
            seat.place.joined();
        });
        tracing::debug!("session {}: a viewer is up", self.mountpoint.session);
    }

    /// It has gone: for this reason, or by its own will.
    async fn ends(self, gone: Option<String>) {
        let session = &self.mountpoint.session;
        if let Some(why) = &gone {
            tracing::debug!("session {session}: a viewer has gone: {why}");
        }
        let seat = self.audience.viewers().end(&self.viewer);
        if let Some(seat) = seat {
            seat.there.leave().await;
        }
        let outcome = match (self.joined, gone) {
            (Some(_), _) => Outcome::Connected,
            (None, Some(_)) => Outcome::Failed,
            (None, None) => Outcome::Left,
        };
        if self.joined.is_none() {
            self.audience.joins.ended(outcome);
        }
        self.tell(outcome);
        if let Some(joined) = self.joined {
            let mut data = told(&self.mountpoint, &self.viewer);
            data["seconds"] = joined.elapsed().as_secs().into();
            self.audience.webhooks.tell("viewer.left", data);
        }
    }

    fn with_seat<T>(&self, what: impl FnOnce(&mut Seat) -> T) -> Option<T> {
        self.audience.viewers().get_mut(&self.mountpoint.session, &self.viewer).map(what)
    }

    fn tell(&self, outcome: Outcome) {
        self.audience.tell(&self.mountpoint.session, &self.viewer, &self.following, outcome);
    }
}

/// At that time; never, if there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// What webhooks say of a viewer.
fn told(mountpoint: &Mountpoint, viewer: &str) -> Value {
    json!({ "sessionId": mountpoint.session, "viewerId": name(viewer) })
}
