//! [`Audience`]: the viewers. Each has a seat in the server, for as long as it is connected. `tie`: how one hears, and says that it is
//! still there; `joining`: what is told of how it came.

mod joining;
mod tie;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use node::http::wish::{IceSession, Restart};
use node::media::VideoCodec;
use node::webhook::Webhooks;
use sdp_types::Session;
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub use tie::{Call, Ear, Tie};

use super::{EgressError, locked};
use crate::capacity::Place;
use crate::joins::{self, Join, Outcome, Stage};
use crate::mountpoints::Mountpoint;
use crate::moves::Viewer;
use crate::reports::{self, Unheard};
use crate::sdp::{self, Common, Numbers, SdpError};
use crate::server::{self, CONNECTS_WITHIN, SeatEvent, Server};
use crate::turns;
use crate::viewers::Viewers;
use joining::{Following, TOLD_AFTER};

/// A counter-offer is answered at once, or by a player that knows no counter-offers never: a seat is held for it.
pub const COUNTER_OFFER_HOLDS: Duration = Duration::from_secs(10);

/// Characters that are kept of what a player says of itself.
const LONGEST_PLAYER: usize = 200;

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

/// Somebody who wants to watch.
pub struct Newcomer<'a> {
    /// What it plays with, in its own words.
    pub player: &'a str,
    /// Its place among all viewers.
    pub place: Place,
    /// What it has begun.
    pub join: Join,
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

/// What a player is answered.
pub struct Reply {
    /// The viewer's name.
    pub viewer: String,
    /// An answer to its offer, or an offer for it to answer.
    pub sdp: String,
    /// Its own offer could not be served, and this is one that can: it holds for [`COUNTER_OFFER_HOLDS`].
    pub counters: bool,
}

/// What somebody who wants to watch has said.
enum Wish {
    /// An offer that can be served.
    Served(Box<(Session, Common)>),
    /// Nothing, or an offer that cannot be served, and why: it is offered something.
    Asks(Option<String>),
}

impl Wish {
    /// Its offer, and what of that can be served.
    fn served(&self) -> Option<(&Session, &Common)> {
        match self {
            Wish::Served(served) => Some((&served.0, &served.1)),
            Wish::Asks(_) => None,
        }
    }

    fn read(offer: Option<&[u8]>, codec: VideoCodec, numbers: Numbers) -> Result<Wish, EgressError> {
        let Some(player) = offer.map(sdp::parse).transpose()? else { return Ok(Wish::Asks(None)) };
        match sdp::common(&player, codec, numbers) {
            Ok(common) => Ok(Wish::Served(Box::new((player, common)))),
            Err(SdpError::NoCodec(why)) => Ok(Wish::Asks(Some(why))),
            Err(bad) => Err(bad.into()),
        }
    }
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

    /// Somebody wants to watch. With an offer that can be served it gets an answer, otherwise it gets the server's offer.
    pub(super) async fn watch(
        self: &Arc<Self>,
        server: &dyn Server,
        is_there: Result<(), EgressError>,
        mountpoint: Mountpoint,
        offer: Option<&[u8]>,
        newcomer: Newcomer<'_>,
    ) -> Result<Reply, EgressError> {
        let session = mountpoint.session.as_str();
        // What is wrong with an offer is known before the server is asked for anything.
        let wish = Wish::read(offer, mountpoint.codec, server.numbers())?;
        is_there?;
        if !mountpoint.made {
            return Err(EgressError::NotReady(session.to_owned()));
        }
        let server::Watching { offer: theirs, seat: there, events } =
            server.watch(&mountpoint, wish.served()).await?;
        let viewer = format!("{:032x}", rand::random::<u128>());
        let Newcomer { player, place, join } = newcomer;
        let player: Arc<str> = player.chars().take(LONGEST_PLAYER).collect::<String>().into();
        let join = Arc::new(Mutex::new(join));
        let following = Following { player: player.clone(), join: join.clone() };
        let answered = async {
            let seat = |ice, waits| Seat {
                there: there.clone(),
                ice: Arc::new(ice),
                restarts: 0,
                waits,
                ties: 0,
                ears: Vec::new(),
                player,
                up: None,
                reported: None,
                place: Arc::new(place),
                join,
            };
            match &wish {
                Wish::Asks(why) => {
                    // Who it is is said with its answer.
                    self.viewers().begin(&viewer, session, seat(IceSession::default(), true));
                    Ok::<_, EgressError>(match why {
                        Some(why) => sdp::text(&sdp::counter_offer(&theirs, why)),
                        None => sdp::text(&theirs),
                    })
                }
                Wish::Served(served) => {
                    let (player, common) = served.as_ref();
                    let ours = sdp::answer_for_server(&theirs, player, common);
                    // Known before it can be up.
                    let ice = IceSession::new(sdp::ice_users(player));
                    self.viewers().begin(&viewer, session, seat(ice, false));
                    there.start(ours).await?;
                    Ok(sdp::text(&sdp::answer_for_player(player, &theirs, common)))
                }
            }
        };
        match answered.await {
            Ok(sdp) => {
                let counters = matches!(&wish, Wish::Asks(Some(why)) if {
                    tracing::debug!("session {session}: an offer is answered with another: {why}");
                    true
                });
                let answers_within = if counters { COUNTER_OFFER_HOLDS } else { CONNECTS_WITHIN };
                self.reached(&following.join, Stage::Answered);
                tokio::spawn(self.clone().follow(
                    viewer.clone(),
                    mountpoint.clone(),
                    following,
                    events,
                    answers_within,
                ));
                Ok(Reply { viewer, sdp, counters })
            }
            Err(failed) => {
                self.viewers().end(&viewer);
                there.leave().await;
                Err(failed)
            }
        }
    }

    /// A player answers the server's offer.
    pub async fn answer(&self, session: &str, viewer: &str, answer: &[u8]) -> Result<(), EgressError> {
        let parsed = sdp::parse(answer)?;
        let seat = self.seat(session, viewer)?;
        if !seat.waits {
            return Err(EgressError::AnsweredAlready);
        }
        if parsed.medias.iter().all(|media| media.port == 0) {
            self.leave(session, viewer).await?;
            return Err(EgressError::NothingTaken);
        }
        sdp::check_peer(&parsed)?;
        // At once: of two answers that come together the server gets one.
        match self.viewers().get_mut(session, viewer) {
            Some(seat) if seat.waits => seat.waits = false,
            Some(_) => return Err(EgressError::AnsweredAlready),
            None => {}
        }
        let ice = IceSession::new(sdp::ice_users(&parsed));
        let started = seat.there.start(parsed).await;
        if let Some(seat) = self.viewers().get_mut(session, viewer) {
            match &started {
                Ok(()) => seat.ice = Arc::new(ice),
                Err(_) => seat.waits = true,
            }
        }
        Ok(started?)
    }

    /// A player has found more ways to be reached; or it restarts ICE, and is given the server's side of the new ICE session.
    pub async fn trickle(
        &self,
        session: &str,
        viewer: &str,
        fragment: &str,
    ) -> Result<Option<String>, EgressError> {
        let seat = self.seat(session, viewer)?;
        if let Some(Restart { user, password }) = seat.ice.restart(fragment)? {
            let ours = seat.there.restart(sdp::credentials(&user, &password)?).await?;
            if let Some(seat) = self.viewers().get_mut(session, viewer) {
                seat.ice = Arc::new(IceSession::new(vec![user]));
                seat.restarts += 1;
            }
            return Ok(Some(ours));
        }
        for candidate in seat.ice.take(fragment)? {
            seat.there.trickle(candidate.text).await?;
        }
        Ok(None)
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

    /// How often a viewer has restarted ICE.
    pub fn restarts(&self, session: &str, viewer: &str) -> Result<u32, EgressError> {
        self.seat(session, viewer).map(|seat| seat.restarts)
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

    /// Follows what happens to a viewer until it has gone.
    async fn follow(
        self: Arc<Self>,
        viewer: String,
        mountpoint: Mountpoint,
        following: Following,
        mut events: BoxStream<'static, SeatEvent>,
        answers_within: Duration,
    ) {
        let began = tokio::time::Instant::now();
        let (answered_by, up_by) = (began + answers_within, began + CONNECTS_WITHIN);
        let passes_at = began + turns::LASTS;
        let (mut passed, mut asked, mut up, mut joined) = (false, false, false, None);
        let (mut outcome, mut told_by, mut is_told) = (Outcome::Left, began, false);
        let late = |why: &str| Some(SeatEvent::Gone(why.to_owned()));
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = tokio::time::sleep_until(passes_at), if !passed => {
                    passed = true;
                    if let Some(seat) = self.viewers().get_mut(&mountpoint.session, &viewer) {
                        seat.place.passes();
                    }
                    continue;
                }
                () = tokio::time::sleep_until(answered_by), if !asked => {
                    asked = true;
                    let waits = |seat: Seat| seat.waits;
                    match self.viewers().get(&mountpoint.session, &viewer).is_some_and(waits) {
                        true => late("it has not answered the offer"),
                        false => continue,
                    }
                }
                () = tokio::time::sleep_until(up_by), if !up => late("its connection does not come up"),
                () = tokio::time::sleep_until(told_by), if up && !is_told => {
                    is_told = true;
                    self.tell(&mountpoint.session, &viewer, &following, outcome);
                    continue;
                }
            };
            match event {
                Some(SeatEvent::Up) => {
                    up = self.viewers().connected(&viewer);
                    if up && joined.is_none() {
                        joined = Some(tokio::time::Instant::now());
                        told_by = tokio::time::Instant::now() + TOLD_AFTER;
                        outcome = Outcome::Connected;
                        self.reached(&following.join, Stage::Connected);
                        self.joins.ended(outcome);
                        self.webhooks.tell("viewer.joined", told(&mountpoint, &viewer));
                    }
                    if let Some(seat) = self.viewers().get_mut(&mountpoint.session, &viewer) {
                        seat.up.get_or_insert_with(Instant::now);
                        seat.place.joined();
                    }
                    tracing::debug!("session {}: a viewer is up", mountpoint.session);
                }
                Some(SeatEvent::Shown) => self.reached(&following.join, Stage::FirstPacket),
                Some(SeatEvent::Gone(why)) => {
                    if !up {
                        outcome = Outcome::Failed;
                    }
                    tracing::debug!("session {}: a viewer has gone: {why}", mountpoint.session);
                    break;
                }
                None => break,
            }
        }
        let seat = self.viewers().end(&viewer);
        if let Some(seat) = seat {
            seat.there.leave().await;
        }
        if joined.is_none() {
            self.joins.ended(outcome);
        }
        self.tell(&mountpoint.session, &viewer, &following, outcome);
        if let Some(joined) = joined {
            let mut data = told(&mountpoint, &viewer);
            data["seconds"] = joined.elapsed().as_secs().into();
            self.webhooks.tell("viewer.left", data);
        }
    }
}

/// What others call a viewer: not by the name that it can be ended by.
fn name(viewer: &str) -> &str {
    viewer.get(..16).unwrap_or(viewer)
}

/// What webhooks say of a viewer.
fn told(mountpoint: &Mountpoint, viewer: &str) -> Value {
    json!({ "sessionId": mountpoint.session, "viewerId": name(viewer) })
}
