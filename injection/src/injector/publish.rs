//! Publications: a publisher takes a session's place, trickles, leaves, or is found dead.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use janus::Event;
use node::http::wish::IceSession;
use node::media::{Codec, Kind, PerKind};
use tokio::sync::{mpsc, watch};

use super::{Entry, Injector, InjectorError, lock};
use crate::publication::{Happening, Publication, Stage, Via};
use crate::rtmp::Place;
use crate::sdp::{self, Offer, OfferError};
use crate::videoroom::{self, Destination, Publisher, Stream, VideoRoom};

/// Whoever publishes to a session.
pub(super) struct Current {
    /// Names the publication; only its publisher knows it.
    pub key: String,
    /// What it may trickle.
    ice: IceSession,
    /// What it sends.
    pub streams: Vec<Stream>,
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

impl From<OfferError> for InjectorError {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::Malformed(why) => InjectorError::Bad(why),
            OfferError::NoCodec(why) => InjectorError::NotAcceptable(why),
        }
    }
}

impl Injector {
    /// Takes a publisher in.
    pub async fn publish(
        self: &Arc<Self>,
        id: &str,
        offer: String,
        via: Via,
    ) -> Result<Published, InjectorError> {
        let entry = self.entry(id)?;
        let offered = sdp::check(&offer)?;
        let janus = self.janus()?;
        let _place = entry.place.lock().await;
        if let Some(current) = entry.current() {
            if !lock(&current.life).gives_way(self.now()) {
                let why = format!("somebody publishes to session {id}; DELETE that publication first");
                return Err(InjectorError::Conflict(why));
            }
            self.leave(&entry, &current, "another takes its place").await;
        }
        let (publisher, events) = self.join(&janus, &entry, offer).await?;
        if let Some(why) = refusal(&offered, &publisher.streams) {
            publisher.leave().await;
            return Err(InjectorError::NotAcceptable(why));
        }
        let session = &entry.session;
        entry.feed.begin();
        let to =
            Destination { ports: entry.feed.ports(), ssrcs: session.ssrcs, rtcp_port: self.feedback.port };
        let keyframes = match janus.forward(session.room, &publisher, &to).await {
            Ok(keyframes) => keyframes,
            Err(error) => {
                publisher.leave().await;
                return Err(InjectorError::Backend(error.to_string()));
            }
        };
        // The session may have been destroyed meanwhile, and its room with it.
        if !self.entry(id).is_ok_and(|other| Arc::ptr_eq(&other, &entry)) {
            publisher.leave().await;
            return Err(InjectorError::Unknown(format!("session {id} was destroyed")));
        }
        self.feedback.publisher(session.ssrcs.video, keyframes);
        let answer = publisher.answer.clone();
        let key = format!("{:032x}", rand::random::<u128>());
        let current = Arc::new(Current {
            key: key.clone(),
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
        *lock(&entry.current) = Some(current.clone());
        entry.publications.fetch_add(1, Ordering::Relaxed);
        let codecs: Vec<&str> = current.streams.iter().map(|stream| stream.codec.as_str()).collect();
        tracing::info!("session {id}: a publisher with {}", codecs.join(" and "));
        let video = codecs.iter().copied().find(|codec| *codec != "opus");
        if let Some(video) = video {
            *lock(&entry.codec) = Some(video.to_owned());
        }
        if let Some(store) = &self.store
            && let Some(video) = video
            && let Err(why) = store.encoded_with(id, video).await
        {
            tracing::warn!("session {id}: egresses are not told that it is {video}: {why}");
        }
        tokio::spawn(self.clone().watch(entry.clone(), current, events));
        Ok(Published { key, answer, connected, over })
    }

    /// How it stands with a session's publisher.
    pub fn place(&self, id: &str) -> Place {
        let Ok(entry) = self.entry(id) else { return Place::Unknown };
        let busy = entry.current().is_some_and(|current| !lock(&current.life).gives_way(self.now()));
        if busy { Place::Busy } else { Place::Free }
    }

    /// Names the publication that a request is about: the one with this key, or whichever is current.
    pub fn key(&self, id: &str, key: Option<&str>) -> Result<String, InjectorError> {
        Ok(self.publication(id, key)?.key.clone())
    }

    /// Passes a publisher's candidates on, in the text of an SDP fragment.
    pub async fn trickle(&self, id: &str, key: &str, text: &str) -> Result<(), InjectorError> {
        let current = self.publication(id, Some(key))?;
        let candidates = current.ice.take(text)?;
        let publisher = lock(&current.publisher).clone();
        let gone = || InjectorError::Unknown("this publication is over".to_owned());
        let publisher = publisher.ok_or_else(gone)?;
        for candidate in &candidates {
            let failed = |error: janus::Error| InjectorError::Backend(error.to_string());
            publisher.trickle(sdp::for_janus(candidate)).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Ends a publication because its publisher says so.
    pub async fn unpublish(&self, id: &str, key: Option<&str>) -> Result<(), InjectorError> {
        let current = self.publication(id, key)?;
        let entry = self.entry(id)?;
        self.end_publication(&entry, Some(&current), "its publisher ended it").await;
        Ok(())
    }

    /// Ends the current publication of a session; with `only`, if it is still that one.
    pub(super) async fn end_publication(&self, entry: &Entry, only: Option<&Arc<Current>>, why: &str) {
        let _place = entry.place.lock().await;
        if let Some(current) = entry.current()
            && only.is_none_or(|only| Arc::ptr_eq(only, &current))
        {
            self.leave(entry, &current, why).await;
        }
    }

    fn publication(&self, id: &str, key: Option<&str>) -> Result<Arc<Current>, InjectorError> {
        let current = self.entry(id)?.current();
        current.filter(|current| key.is_none_or(|key| key == current.key)).ok_or_else(|| {
            InjectorError::Unknown(format!("no such publication of session {id}, or no longer"))
        })
    }

    /// Joins the room, which is made again if somebody else removed it.
    async fn join(
        &self,
        janus: &VideoRoom,
        entry: &Entry,
        offer: String,
    ) -> Result<(Publisher, mpsc::UnboundedReceiver<Event>), InjectorError> {
        let session = &entry.session;
        let mut joined = janus.publish(session.room, &session.id, offer.clone()).await;
        if joined.as_ref().is_err_and(videoroom::is_no_room) && self.make_room(janus, entry).await {
            joined = janus.publish(session.room, &session.id, offer).await;
        }
        joined.map_err(|error| match videoroom::is_bad_sdp(&error) {
            true => InjectorError::Bad(error.to_string()),
            false => InjectorError::Backend(error.to_string()),
        })
    }

    /// Takes a publication out; the caller holds the place.
    async fn leave(&self, entry: &Entry, current: &Arc<Current>, why: &str) {
        *lock(&entry.current) = None;
        self.feedback.publisher(entry.session.ssrcs.video, None);
        let publisher = lock(&current.publisher).take();
        // Somebody who trickles at this moment has the other handle on it, for a moment.
        if let Some(publisher) = publisher {
            publisher.leave().await;
        }
        current.over.send_replace(Some(why.to_owned()));
        tracing::info!("session {}: its publisher is gone: {why}", entry.session.id);
    }

    /// Follows a publication to its end.
    async fn watch(
        self: Arc<Self>,
        entry: Arc<Entry>,
        current: Arc<Current>,
        mut events: mpsc::UnboundedReceiver<Event>,
    ) {
        let why = loop {
            let due = lock(&current.life).due();
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until((self.started + due).into()).await,
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
            let mut life = lock(&current.life);
            let stage = life.stage();
            let over = match happening {
                Some(happening) => life.happens(happening, now),
                None => life.check(now),
            };
            if life.stage() != stage {
                tracing::info!("session {}: publisher {:?}", entry.session.id, life.stage());
                current.connected.send_replace(life.stage() != Stage::Connecting);
            }
            if let Some(why) = over {
                break why;
            }
        };
        self.end_publication(&entry, Some(&current), &why).await;
    }
}

/// Why a publication as Janus took it is of no use: nobody would notice that half of it is missing.
fn refusal(offered: &Offer, streams: &[Stream]) -> Option<String> {
    let odd = streams.iter().find(|stream| Codec::parse(&stream.codec).is_none());
    if let Some(odd) = odd {
        return Some(format!("the tree does not carry {}", odd.codec));
    }
    let is_missing = |kind: &Kind| offered.sends[*kind] && streams.iter().all(|stream| stream.kind != *kind);
    let missing = Kind::BOTH.into_iter().find(is_missing)?;
    let wanted = PerKind { audio: "Opus", video: "VP8 or H264 (42e01f)" };
    Some(format!("Janus does not take the offered {missing}; offer {}", wanted[missing]))
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
        let stream = |kind, codec: &str| Stream { mid: "0".to_owned(), kind, codec: codec.to_owned() };
        let offer = |sends: [bool; 2]| Offer { users: Vec::new(), sends: sends.into() };
        let both = [stream(Kind::Video, "h264"), stream(Kind::Audio, "opus")];
        assert_eq!(refusal(&offer([true, true]), &both), None);
        assert_eq!(refusal(&offer([false, true]), &both[..1]), None);
        let table = [
            (refusal(&offer([true, true]), &both[..1]), "does not take the offered audio"),
            (refusal(&offer([true, true]), &both[1..]), "does not take the offered video"),
            (refusal(&offer([false, true]), &[stream(Kind::Video, "vp9")]), "does not carry vp9"),
        ];
        for (refused, words) in table {
            assert!(refused.as_ref().is_some_and(|why| why.contains(words)), "{refused:?}");
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
