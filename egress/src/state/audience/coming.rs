//! How a viewer comes: it offers and is answered, or is offered something and answers; and what it says later of how it is reached.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use node::http::wish::{IceSession, Restart};

use super::joining::Following;
use super::stay::Stay;
use super::wish::Wish;
use super::{Audience, Seat};
use crate::capacity::Place;
use crate::joins::{Join, Stage};
use crate::mountpoints::Mountpoint;
use crate::sdp;
use crate::server::{self, CONNECTS_WITHIN, Server};
use crate::state::EgressError;

/// A counter-offer is answered at once, or by a player that knows no counter-offers never: a seat is held for it.
pub const COUNTER_OFFER_HOLDS: Duration = Duration::from_secs(10);

/// Characters that are kept of what a player says of itself.
const LONGEST_PLAYER: usize = 200;

/// Somebody who wants to watch.
pub struct Newcomer<'a> {
    /// What it plays with, in its own words.
    pub player: &'a str,
    /// Its place among all viewers.
    pub place: Place,
    /// What it has begun.
    pub join: Join,
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

impl Audience {
    /// Somebody wants to watch. With an offer that can be served it gets an answer, otherwise it gets the server's offer.
    pub(in crate::state) async fn watch(
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
                let stay =
                    Stay::begin(self.clone(), viewer.clone(), mountpoint.clone(), following, answers_within);
                tokio::spawn(stay.follow(events));
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

    /// How often a viewer has restarted ICE.
    pub fn restarts(&self, session: &str, viewer: &str) -> Result<u32, EgressError> {
        self.seat(session, viewer).map(|seat| seat.restarts)
    }
}
