//! Viewers: each has a handle of its own in Janus, for as long as it is connected.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use janus::{Event, Handle};
use node::http::Failed;
use node::http::wish::IceSession;
use serde_json::json;
use tokio::sync::mpsc;

use super::Egress;
use super::change::{refused, unavailable};
use crate::mountpoints::Mountpoint;
use crate::sdp::{self, SdpError};
use crate::streaming;

/// A viewer whose connection does not come up for so long is not one.
const UP: Duration = Duration::from_secs(30);

/// A connection for events that broke is made again by the browser within this time.
const UNTIED: Duration = Duration::from_secs(5);

/// What belongs to a viewer.
#[derive(Clone, Debug)]
pub struct Seat {
    handle: Handle,
    /// What Janus calls the first of its media.
    mid: String,
    /// What it may trickle.
    ice: Arc<IceSession>,
    /// Janus' offer has not been answered yet.
    waits: bool,
    /// Connections that say that it is still there.
    ties: usize,
}

/// A connection that says that a viewer is still there. A moment after the last has gone, so has the viewer.
pub struct Tie {
    egress: Arc<Egress>,
    session: String,
    viewer: String,
}

impl Drop for Tie {
    fn drop(&mut self) {
        if let Some(seat) = self.egress.viewers().get_mut(&self.session, &self.viewer) {
            seat.ties -= 1;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (egress, session, viewer) =
            (self.egress.clone(), std::mem::take(&mut self.session), std::mem::take(&mut self.viewer));
        runtime.spawn(async move {
            tokio::time::sleep(UNTIED).await;
            let untied = egress.viewers().get(&session, &viewer).is_some_and(|seat| seat.ties == 0);
            if untied {
                let _ = egress.leave(&session, &viewer).await;
            }
        });
    }
}

/// What a player is answered.
pub struct Offer {
    /// The viewer's name.
    pub viewer: String,
    /// An answer to its offer, or an offer for it to answer.
    pub sdp: String,
}

impl Egress {
    /// Somebody wants to watch. With an offer it gets an answer, without one it gets Janus' offer.
    pub async fn watch(self: &Arc<Self>, session: &str, offer: Option<&[u8]>) -> Result<Offer, Failed> {
        let mountpoint = self.mountpoint(session)?;
        // What is wrong with an offer is known before Janus is asked for anything.
        let player = offer.map(sdp::parse).transpose()?;
        let common = player.as_ref().map(|player| sdp::common(player, mountpoint.codec)).transpose()?;
        let streaming = self.janus().map_err(unavailable)?;
        if !mountpoint.made {
            return Err(unavailable(format!("session {session} is not ready yet")));
        }
        let watching = streaming.watch(mountpoint.id).await.map_err(refused)?;
        let viewer = format!("{:032x}", rand::random::<u128>());
        let handle = watching.handle;
        let answered = async {
            let theirs = sdp::parse(watching.offer.as_bytes())?;
            let mid = sdp::first_mid(&theirs);
            let (Some(player), Some(common)) = (&player, &common) else {
                return Ok::<_, Failed>((mid, watching.offer.clone()));
            };
            let ours = sdp::answer_for_janus(&theirs, player, common);
            // Known before it can be up.
            let ice = Arc::new(IceSession::new(sdp::ice_users(player)));
            let seat = Seat { handle: handle.clone(), mid: mid.clone(), ice, waits: false, ties: 0 };
            self.viewers().begin(&viewer, session, seat);
            streaming::start(&handle, sdp::text(&ours)).await.map_err(refused)?;
            Ok((mid, sdp::text(&sdp::answer_for_player(player, &theirs, common))))
        };
        match answered.await {
            Ok((mid, sdp)) => {
                if player.is_none() {
                    // Who it is is said with its answer.
                    let ice = Arc::new(IceSession::default());
                    let seat = Seat { handle: handle.clone(), mid, ice, waits: true, ties: 0 };
                    self.viewers().begin(&viewer, session, seat);
                }
                tokio::spawn(self.clone().follow(viewer.clone(), mountpoint, watching.events));
                Ok(Offer { viewer, sdp })
            }
            Err(failed) => {
                self.viewers().end(&viewer);
                let _ = handle.detach().await;
                Err(failed)
            }
        }
    }

    /// A player answers Janus' offer.
    pub async fn answer(&self, session: &str, viewer: &str, answer: &[u8]) -> Result<(), Failed> {
        let parsed = sdp::parse(answer)?;
        let seat = self.seat(session, viewer)?;
        if !seat.waits {
            return Err(Failed(
                StatusCode::CONFLICT,
                "this viewer's offer has been answered already".to_owned(),
            ));
        }
        if parsed.medias.iter().all(|media| media.port == 0) {
            self.leave(session, viewer).await?;
            let why = "the answer refuses all media: no codec in common";
            return Err(Failed(StatusCode::NOT_ACCEPTABLE, why.to_owned()));
        }
        sdp::check_peer(&parsed)?;
        streaming::start(&seat.handle, sdp::text(&parsed)).await.map_err(refused)?;
        let mut viewers = self.viewers();
        if let Some(seat) = viewers.get_mut(session, viewer) {
            seat.waits = false;
            seat.ice = Arc::new(IceSession::new(sdp::ice_users(&parsed)));
        }
        Ok(())
    }

    /// A player has found more ways to be reached.
    pub async fn trickle(&self, session: &str, viewer: &str, fragment: &str) -> Result<(), Failed> {
        let seat = self.seat(session, viewer)?;
        for candidate in seat.ice.take(fragment)? {
            // As the media are bundled, all belong to the first.
            let said = match candidate.text {
                Some(text) => json!({ "candidate": text, "sdpMid": seat.mid, "sdpMLineIndex": 0 }),
                None => json!({ "completed": true }),
            };
            seat.handle.trickle(said).await.map_err(refused)?;
        }
        Ok(())
    }

    /// Whether there is such a viewer, or the answer that there is none.
    pub fn is_seated(&self, session: &str, viewer: &str) -> Result<(), Failed> {
        self.seat(session, viewer).map(drop)
    }

    /// A viewer leaves.
    pub async fn leave(&self, session: &str, viewer: &str) -> Result<(), Failed> {
        self.seat(session, viewer)?;
        let seat = self.viewers().end(viewer);
        if let Some(seat) = seat {
            // Whatever Janus says: the viewer is gone.
            let _ = seat.handle.detach().await;
        }
        Ok(())
    }

    /// Ties a viewer to a connection.
    pub fn tie(self: &Arc<Self>, session: &str, viewer: &str) -> Option<Tie> {
        self.viewers().get_mut(session, viewer)?.ties += 1;
        Some(Tie { egress: self.clone(), session: session.to_owned(), viewer: viewer.to_owned() })
    }

    /// A session's mountpoint, or the answer that there is none.
    pub fn mountpoint(&self, session: &str) -> Result<Mountpoint, Failed> {
        let found = self.books().get(session).cloned();
        found.ok_or_else(|| Failed(StatusCode::NOT_FOUND, format!("there is no session '{session}' here")))
    }

    /// All viewers of a session leave.
    pub(super) async fn dismiss_viewers(&self, session: &str) {
        let seats = self.viewers().end_session(session);
        for seat in seats {
            let _ = seat.handle.detach().await;
        }
    }

    fn seat(&self, session: &str, viewer: &str) -> Result<Seat, Failed> {
        let seat = self.viewers().get(session, viewer);
        seat.ok_or_else(|| {
            Failed(StatusCode::NOT_FOUND, "there is no such viewer; it has left, or never came".to_owned())
        })
    }

    /// Follows what happens to a viewer until it has gone.
    async fn follow(
        self: Arc<Self>,
        viewer: String,
        mountpoint: Mountpoint,
        mut events: mpsc::UnboundedReceiver<Event>,
    ) {
        let by = tokio::time::Instant::now() + UP;
        let mut up = false;
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = tokio::time::sleep_until(by), if !up => None,
            };
            match event {
                Some(Event::WebrtcUp) => {
                    up = self.viewers().connected(&viewer);
                    tracing::debug!("session {}: a viewer is up", mountpoint.session);
                    // Janus asks as well, but not within a second of the last time.
                    self.keyframes.ask(mountpoint.ssrcs.video);
                }
                Some(Event::Hangup { .. } | Event::Detached) | None => break,
                Some(Event::Plugin { data, .. }) if data["result"]["status"] == json!("stopped") => break,
                Some(_) => {}
            }
        }
        let seat = self.viewers().end(&viewer);
        if let Some(seat) = seat {
            let _ = seat.handle.detach().await;
        }
    }
}

impl From<SdpError> for Failed {
    fn from(error: SdpError) -> Self {
        let status = match &error {
            SdpError::Bad(_) => StatusCode::BAD_REQUEST,
            SdpError::NoCodec(_) => StatusCode::NOT_ACCEPTABLE,
        };
        Failed(status, error.to_string())
    }
}
