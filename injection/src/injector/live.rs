//! [`LiveSession`]: a session that there is, its pipeline, and whoever publishes to it. A publisher takes the session's one
//! place, trickles, leaves, or is found dead.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use janus::Event;
use node::http::wish::IceSession;
use node::media::{Codec, Kind, PerKind};
use node::webhook::Webhooks;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::totals::Totals;
use super::{InjectorError, lock};
use crate::feedback::Feedback;
use crate::pipeline::Feed;
use crate::publication::{Happening, Occupancy, Publication, Stage, Takeover, Via};
use crate::sdp::{Offer, Ways};
use crate::session::Session;
use crate::videoroom::{self, Destination, OfferedStream, Publisher, VideoRoom};

/// So many of the last publications are known by name.
const PAST: usize = 16;

/// A session that there is.
pub struct LiveSession {
    pub(super) session: Session,
    pub(super) feed: Feed,
    /// What its video is encoded with, as far as is known.
    codec: Mutex<Option<String>>,
    /// Why it has no room in Janus.
    room_problem: Mutex<Option<RoomProblem>>,
    /// Held by whoever takes or leaves the publisher's place.
    turn: tokio::sync::Mutex<()>,
    current: Mutex<Option<Arc<Current>>>,
    publications: AtomicU64,
    /// Names of the last publications, for those who want to know what became of theirs.
    past: Mutex<VecDeque<String>>,
    totals: Arc<Totals>,
    /// It was destroyed: nobody publishes to it any more.
    closed: AtomicBool,
    feedback: Arc<Feedback>,
    /// Who is told of publishers.
    webhooks: Webhooks,
    /// Whether a newcomer may have the place of who publishes.
    takeover: Takeover,
    /// Where times count from.
    epoch: Instant,
}

/// Why a session has no room in Janus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomProblem {
    /// In words.
    pub why: String,
    /// Somebody else's room has its number: other sessions do not suffer.
    pub is_its_own: bool,
}

/// Whoever publishes to a session.
pub(super) struct Current {
    /// Names the publication; only its publisher knows it.
    pub key: String,
    /// What it may trickle.
    ice: IceSession,
    /// Where that goes.
    ways: Ways,
    /// What it sends.
    pub streams: Vec<OfferedStream>,
    /// Since when, on the injector's clock.
    pub since: Duration,
    /// How it comes.
    pub via: Via,
    pub life: Mutex<Publication>,
    publisher: Mutex<Option<Arc<Publisher>>>,
    /// Told once Janus takes its media.
    connected: watch::Sender<bool>,
    /// Told why it is over.
    over: watch::Sender<Option<String>>,
}

/// What a publisher is answered.
#[derive(Clone, Debug)]
pub struct Published {
    /// Names the publication.
    pub key: String,
    /// SDP.
    pub answer: String,
    /// Whether Janus takes media: what comes before is lost.
    pub connected: watch::Receiver<bool>,
    /// Why the publication is over, once it is.
    pub over: watch::Receiver<Option<String>>,
}

impl LiveSession {
    /// Nobody publishes yet.
    pub(super) fn new(
        session: Session,
        feed: Feed,
        feedback: Arc<Feedback>,
        webhooks: Webhooks,
        takeover: Takeover,
        totals: Arc<Totals>,
        epoch: Instant,
    ) -> LiveSession {
        LiveSession {
            codec: Mutex::new(session.codec.clone()),
            session,
            feed,
            room_problem: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            current: Mutex::default(),
            publications: AtomicU64::new(0),
            past: Mutex::default(),
            totals,
            closed: AtomicBool::new(false),
            feedback,
            webhooks,
            takeover,
            epoch,
        }
    }

    /// The session as Redis is to have it.
    pub fn recorded(&self) -> Session {
        Session { codec: self.video_codec(), ..self.session.clone() }
    }

    /// What its video is encoded with, once somebody has published.
    pub fn video_codec(&self) -> Option<String> {
        lock(&self.codec).clone()
    }

    /// Whoever publishes.
    pub(super) fn current(&self) -> Option<Arc<Current>> {
        lock(&self.current).clone()
    }

    /// How many publications there have been.
    pub fn publications(&self) -> u64 {
        self.publications.load(Ordering::Relaxed)
    }

    /// Whether somebody publishes.
    pub fn is_taken(&self) -> bool {
        self.current().is_some()
    }

    /// Whether there is or was a publication of this name, not long ago.
    pub fn has_had(&self, key: &str) -> bool {
        lock(&self.past).iter().any(|past| past == key)
    }

    /// Why it has no room in Janus, if it has none.
    pub fn room_problem(&self) -> Option<RoomProblem> {
        lock(&self.room_problem).clone()
    }

    /// Makes its room; whether it is there.
    pub(super) async fn make_room(&self, janus: &VideoRoom) -> bool {
        let session = &self.session;
        let made = janus.create(session.room, &session.id).await;
        let problem = made.err().map(|error| RoomProblem {
            why: format!("session {} has no room: {error}", session.id),
            is_its_own: videoroom::is_room_exists(&error),
        });
        if let Some(problem) =
            problem.as_ref().filter(|problem| self.room_problem().as_ref() != Some(*problem))
        {
            tracing::warn!("{}", problem.why);
        }
        let there = problem.is_none();
        *lock(&self.room_problem) = problem;
        there
    }

    /// Takes a publisher in. `goes_on`: one who published until now, by other means; it counts as one publication.
    pub(super) async fn publish(
        self: &Arc<Self>,
        janus: Result<VideoRoom, InjectorError>,
        offer: String,
        via: Via,
        goes_on: bool,
    ) -> Result<Published, InjectorError> {
        let session = &self.session;
        let id = &session.id;
        let offered = Offer::parse(&offer)?;
        let janus = janus?;
        let _turn = self.turn.lock().await;
        // Its room is gone, and would be made again for nobody.
        if self.closed.load(Ordering::SeqCst) {
            return Err(InjectorError::Destroyed(id.clone()));
        }
        if let Some(current) = self.current() {
            if !lock(&current.life).gives_way(self.now(), self.takeover) {
                return Err(InjectorError::Busy(id.clone()));
            }
            self.leave(&current, "another takes its place").await;
        }
        let (publisher, events) = self.join(&janus, offered.for_janus()).await?;
        let answer = match refusal(offered.sends(), &publisher.streams) {
            Some(why) => Err(why),
            None => offered.answer(&publisher.answers()).map_err(InjectorError::Answer),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                publisher.leave().await;
                return Err(why);
            }
        };
        let to = Destination {
            ports: self.feed.ports(),
            ssrcs: self.feed.begin(),
            rtcp_port: self.feedback.port,
            simulcast: offered.is_simulcast(),
        };
        let keyframes = match janus.forward(session.room, &publisher, &to).await {
            Ok(keyframes) => keyframes,
            Err(error) => {
                publisher.leave().await;
                return Err(error.into());
            }
        };
        // The session may have been destroyed meanwhile, and its room with it.
        if self.closed.load(Ordering::SeqCst) {
            publisher.leave().await;
            return Err(InjectorError::Destroyed(id.clone()));
        }
        self.feedback.publisher(session.ssrcs.video, keyframes);
        let key = format!("{:032x}", rand::random::<u128>());
        let current = Arc::new(Current {
            key: key.clone(),
            ways: offered.ways(),
            ice: IceSession::new(offered.users),
            streams: publisher.streams.clone(),
            since: self.now(),
            via,
            life: Mutex::new(Publication::new(self.now())),
            publisher: Mutex::new(Some(Arc::new(publisher))),
            connected: watch::Sender::default(),
            over: watch::Sender::default(),
        });
        let (connected, over) = (current.connected.subscribe(), current.over.subscribe());
        *lock(&self.current) = Some(current.clone());
        if !goes_on {
            self.publications.fetch_add(1, Ordering::Relaxed);
            self.totals.published();
        }
        let mut past = lock(&self.past);
        past.push_back(current.key.clone());
        if past.len() > PAST {
            past.pop_front();
        }
        drop(past);
        let codecs: Vec<&str> = current.streams.iter().map(|stream| stream.codec.as_str()).collect();
        tracing::info!("session {id}: a publisher with {}", codecs.join(" and "));
        if let Some(video) = codecs.iter().find(|codec| **codec != "opus") {
            *lock(&self.codec) = Some((*video).to_owned());
        }
        tokio::spawn(self.clone().watch(current, events));
        Ok(Published { key, answer, connected, over })
    }

    /// Whether somebody could publish now.
    pub fn occupancy(&self) -> Occupancy {
        let busy =
            self.current().is_some_and(|current| !lock(&current.life).gives_way(self.now(), self.takeover));
        if busy { Occupancy::Busy } else { Occupancy::Free }
    }

    /// Whether the publication with this key is the current one; else the answer that it is not.
    pub fn is_current(&self, key: &str) -> Result<(), InjectorError> {
        self.publication(key).map(drop)
    }

    /// Passes a publisher's candidates on, in the text of an SDP fragment.
    pub async fn trickle(&self, key: &str, text: &str) -> Result<(), InjectorError> {
        let current = self.publication(key)?;
        let candidates = current.ice.take(text)?;
        let publisher = lock(&current.publisher).clone();
        let publisher = publisher.ok_or_else(|| self.unknown())?;
        for candidate in &candidates {
            let (way, candidate) = current.ways.candidate(candidate);
            publisher.trickle(way, candidate).await?;
        }
        Ok(())
    }

    /// Ends a publication because its publisher says so, who has its key; without one whichever there is, because an operator
    /// says so.
    pub async fn unpublish(&self, key: Option<&str>) -> Result<(), InjectorError> {
        let (current, why) = match key {
            Some(key) => (self.publication(key)?, "its publisher ended it"),
            None => (self.current().ok_or_else(|| self.unknown())?, "an operator ended it"),
        };
        self.end(Some(&current), why).await;
        Ok(())
    }

    /// The session is destroyed: whoever publishes is sent away, and nobody is taken in any more.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.end(None, "the session was destroyed").await;
    }

    /// Ends the current publication; with `only`, if it is still that one.
    pub(super) async fn end(&self, only: Option<&Arc<Current>>, why: &str) {
        let _turn = self.turn.lock().await;
        if let Some(current) = self.current()
            && only.is_none_or(|only| Arc::ptr_eq(only, &current))
        {
            self.leave(&current, why).await;
        }
    }

    fn publication(&self, key: &str) -> Result<Arc<Current>, InjectorError> {
        let current = self.current().filter(|current| key == current.key);
        current.ok_or_else(|| self.unknown())
    }

    fn unknown(&self) -> InjectorError {
        InjectorError::UnknownPublication(self.session.id.clone())
    }

    /// Joins the room, which is made again if somebody else removed it.
    async fn join(
        &self,
        janus: &VideoRoom,
        offers: Vec<String>,
    ) -> Result<(Publisher, mpsc::UnboundedReceiver<Event>), InjectorError> {
        let session = &self.session;
        let mut joined = janus.publish(session.room, &session.id, offers.clone()).await;
        if joined.as_ref().is_err_and(videoroom::is_no_room) && self.make_room(janus).await {
            joined = janus.publish(session.room, &session.id, offers).await;
        }
        joined.map_err(|error| match videoroom::is_bad_sdp(&error) {
            true => InjectorError::OfferRefused(error),
            false => InjectorError::Janus(error),
        })
    }

    /// Takes a publication out; the caller has the turn.
    async fn leave(&self, current: &Arc<Current>, why: &str) {
        *lock(&self.current) = None;
        self.feedback.publisher(self.session.ssrcs.video, None);
        let publisher = lock(&current.publisher).take();
        // Somebody who trickles at this moment has the other handle on it, for a moment.
        if let Some(publisher) = publisher {
            publisher.leave().await;
        }
        current.over.send_replace(Some(why.to_owned()));
        tracing::info!("session {}: its publisher is gone: {why}", self.session.id);
    }

    /// Follows a publication to its end.
    async fn watch(self: Arc<Self>, current: Arc<Current>, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut live = None;
        let why = loop {
            let due = lock(&current.life).due();
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until((self.epoch + due).into()).await,
                    None => std::future::pending().await,
                }
            };
            let happening = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => happening(event),
                    None => Some(Happening::Gone("Janus, or its handle there, is gone".to_owned())),
                },
                () = due => None,
            };
            let now = self.now();
            let (before, after, over) = {
                let mut life = lock(&current.life);
                let before = life.stage();
                let over = match happening {
                    Some(happening) => life.happens(happening, now),
                    None => life.check(now),
                };
                (before, life.stage(), over)
            };
            if before != after {
                tracing::info!("session {}: publisher {after:?}", self.session.id);
                current.connected.send_replace(after != Stage::Connecting);
                if after == Stage::Publishing && live.is_none() {
                    live = Some(now);
                    let codecs: Vec<&str> =
                        current.streams.iter().map(|stream| stream.codec.as_str()).collect();
                    let data = json!({ "sessionId": self.session.id, "via": current.via, "codecs": codecs });
                    self.webhooks.tell("publisher.started", data);
                }
            }
            if let Some(why) = over {
                break why;
            }
            if (before, after) == (Stage::Silent, Stage::Publishing) {
                // Pictures were lost: whoever watches waits for the next that needs none before it.
                self.feedback.want(self.session.ssrcs.video).await;
            }
        };
        self.end(Some(&current), &why).await;
        if let Some(live) = live {
            // Whoever ended it has said why.
            let why = current.over.borrow().clone().unwrap_or(why);
            let seconds = self.now().saturating_sub(live).as_secs();
            let data = json!({ "sessionId": self.session.id, "seconds": seconds, "reason": why });
            self.webhooks.tell("publisher.ended", data);
        }
    }

    /// Time since the epoch.
    pub fn now(&self) -> Duration {
        self.epoch.elapsed()
    }
}

/// Why a publication as Janus took it is of no use: nobody would notice that half of it is missing.
fn refusal(sends: PerKind<bool>, streams: &[OfferedStream]) -> Option<InjectorError> {
    let odd = streams.iter().find(|stream| Codec::parse(&stream.codec).is_none());
    if let Some(odd) = odd {
        return Some(InjectorError::CodecNotCarried(odd.codec.clone()));
    }
    let is_missing = |kind: &Kind| sends[*kind] && streams.iter().all(|stream| stream.kind != *kind);
    let kind = Kind::BOTH.into_iter().find(is_missing)?;
    let wanted = PerKind { audio: "Opus", video: "VP8 or H264 (42e01f)" }[kind];
    Some(InjectorError::HalfTaken { kind, wanted })
}

fn happening(event: Event) -> Option<Happening> {
    match event {
        Event::WebrtcUp => Some(Happening::Up),
        Event::Media { mid, kind, receiving } => {
            Some(Happening::Media { mid: mid.unwrap_or(kind), receiving })
        }
        Event::Hangup { reason } => Some(Happening::Gone(format!("hung up: {reason}"))),
        Event::Detached => Some(Happening::Gone("Janus took its handle away".to_owned())),
        Event::Plugin { data, .. } => {
            // Kicked, or the room was destroyed under it.
            let over = data["videoroom"] == "destroyed" || data["leaving"] == "ok" || data["kicked"].is_u64();
            over.then(|| Happening::Gone(format!("Janus: {data}")))
        }
        Event::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_publication_is_refused() {
        let stream = |kind, codec: &str| OfferedStream { mid: "0".to_owned(), kind, codec: codec.to_owned() };
        let both = [stream(Kind::Video, "h264"), stream(Kind::Audio, "opus")];
        assert!(refusal([true, true].into(), &both).is_none());
        assert!(refusal([false, true].into(), &both[..1]).is_none());
        let table = [
            (refusal([true, true].into(), &both[..1]), "does not take the offered audio"),
            (refusal([true, true].into(), &both[1..]), "does not take the offered video"),
            (refusal([false, true].into(), &[stream(Kind::Video, "vp9")]), "does not carry vp9"),
        ];
        for (refused, words) in table {
            assert!(refused.as_ref().is_some_and(|why| why.to_string().contains(words)), "{refused:?}");
        }
    }

    #[test]
    fn what_ends_a_publication_is_told_from_what_does_not() {
        let gone = |event| matches!(happening(event), Some(Happening::Gone(_)));
        assert!(gone(Event::Hangup { reason: "ICE failed".to_owned() }) && gone(Event::Detached));
        assert!(gone(Event::Plugin { data: serde_json::json!({ "videoroom": "destroyed" }), jsep: None }));
        assert!(!gone(Event::Plugin { data: serde_json::json!({ "videoroom": "event" }), jsep: None }));
        assert!(!gone(Event::WebrtcUp) && !gone(Event::Other(serde_json::Value::Null)));
    }
}
