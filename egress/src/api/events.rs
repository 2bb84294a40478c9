//! `GET /events`: what happens to sessions, for our own page; to players of others the same is said by [`crate::whep`].
//!
//! A connection is about sessions that it names, and may say of each who watches it there: such a viewer is told besides where it is to
//! go, or could. Who listens to a session and does not watch it waits for it, and is told where else that can be done.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use node::contract::is_session;
use node::directory::{Carriers, Entry};
use node::drain::{Drains, Stage};
use node::http::{self, Client, Failed, Share};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};

use crate::moves::Places;
use crate::notices::Notice;
use crate::state::{Call, Egress, Tie};

/// A connection for events on which nothing happens is kept open with a comment.
const QUIET: Duration = Duration::from_secs(15);
/// When a browser is to connect again after a break, ms; a viewer's place is kept for longer.
const RETURNS_AFTER: std::ops::Range<u64> = 500..3000;
/// Most sessions, and viewers, that one connection is about: as many as a browser has tabs.
const MOST_WANTED: usize = 64;
/// How often viewers are counted.
const COUNTED_EVERY: Duration = Duration::from_secs(5);

/// What happens to sessions: first how it stands now, then every change. A viewer that is named stays for as long as its
/// connection does, and is told where else to go.
pub async fn follow(
    State(egress): State<Arc<Egress>>,
    client: Client,
    RawQuery(query): RawQuery,
) -> Result<Response, Response> {
    let mut wanted =
        Wanted::read(query.as_deref().unwrap_or_default()).map_err(IntoResponse::into_response)?;
    wanted.listener = format!("{:016x}", rand::random::<u64>());
    let place = egress.capacity().listener(client).map_err(IntoResponse::into_response)?;
    let (mut connection, now) = Connection::new(egress, wanted);
    // Whoever loses a connection comes back at another moment than the others.
    let retry = Event::default().retry(Duration::from_millis(rand::random_range(RETURNS_AFTER)));
    let now = std::iter::once(retry).chain(now).chain(connection.elsewhere());
    let changes = stream::unfold(connection, async |mut connection| {
        let events = connection.next().await?;
        Some((stream::iter(events), connection))
    });
    Ok(sent(place, stream::iter(now.collect::<Vec<_>>()).chain(changes.flatten())))
}

/// A connection for events.
struct Connection {
    egress: Arc<Egress>,
    wanted: Wanted,
    notices: Receiver<Notice>,
    /// What its viewers are told, and who tells them.
    calls: (mpsc::Sender<Call>, mpsc::Receiver<Call>),
    places: watch::Receiver<Arc<Places>>,
    egresses: watch::Receiver<Arc<Carriers>>,
    drain: watch::Receiver<Stage>,
    counts: Interval,
    ties: Vec<Tie>,
    told: Told,
}

/// What a connection has been told. By session, and by viewer if it is for one alone.
#[derive(Default)]
struct Told {
    elsewhere: BTreeMap<(String, Option<String>), Value>,
    sent_on: BTreeMap<String, String>,
    counts: BTreeMap<String, usize>,
    /// How many sessions it waited for, and whether the node was to be gone.
    waited: usize,
    is_to_go: bool,
}

impl Connection {
    /// Gives besides how it stands now.
    fn new(egress: Arc<Egress>, wanted: Wanted) -> (Connection, Vec<Event>) {
        // Listened to before the state is read: nothing falls between.
        let notices = egress.notices().listen();
        let calls = mpsc::channel(2 * MOST_WANTED);
        let now = states(&egress, &wanted);
        let tie =
            |(session, viewer): &(String, String)| egress.audience().tie(session, viewer, calls.0.clone());
        let ties = wanted.viewers.iter().filter_map(tie).collect();
        let (places, egresses, drain) = (egress.places(), egress.egresses(), egress.drain().stage());
        let mut counts = tokio::time::interval(COUNTED_EVERY);
        counts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let viewers = |session: &String| (session.clone(), egress.audience().of(session));
        let told = Told { counts: wanted.sessions.iter().map(viewers).collect(), ..Told::default() };
        (Connection { egress, wanted, notices, calls, places, egresses, drain, counts, ties, told }, now)
    }

    /// What happens next; `None` when nothing will any more.
    async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            let events = tokio::select! {
                notice = self.notices.recv() => match notice {
                    Ok(notice) if !self.wanted.has(&notice.session_id) => continue,
                    Ok(notice) => vec![noticed(&notice)],
                    // Too slow to hear all; how it stands now is what counts.
                    Err(RecvError::Lagged(_)) => states(&self.egress, &self.wanted),
                    Err(RecvError::Closed) => return None,
                },
                Some(call) = self.calls.1.recv() => vec![called(&call)],
                Ok(()) = self.places.changed() => self.elsewhere(),
                Ok(()) = self.egresses.changed() => self.elsewhere(),
                // How far it is with that is nothing to those who wait.
                Ok(()) = self.drain.changed() => match self.is_to_go() == self.told.is_to_go {
                    true => continue,
                    false => self.elsewhere(),
                },
                _ = self.counts.tick() => self.counted(),
            };
            if !events.is_empty() {
                return Some(events);
            }
        }
    }

    /// Where its viewers, and those who wait, could go if this node were gone, as far as that is news. Who waits at a node that is to
    /// be gone goes now; of viewers that is decided elsewhere.
    fn elsewhere(&mut self) -> Vec<Event> {
        self.places.mark_unchanged();
        self.egresses.mark_unchanged();
        let is_to_go = self.is_to_go();
        if std::mem::replace(&mut self.told.is_to_go, is_to_go) && !is_to_go {
            self.told.sent_on.clear();
        }
        let mut events = Vec::new();
        for tie in &self.ties {
            let (session, viewer) = (tie.session(), tie.viewer());
            let (places, spread) = self.egress.elsewhere(session, viewer);
            let urls: Vec<String> = places.iter().map(|place| place.endpoint(session)).collect();
            let data = json!({ "sessionId": session, "viewer": viewer, "urls": urls, "spreadMs": spread });
            events.extend(self.told.elsewhere(session, Some(viewer), urls, &data));
        }
        let waited = self.waited();
        self.told.waited = waited.len();
        for session in &waited {
            let (places, spread) = self.egress.elsewhere_to_wait(&self.wanted.listener);
            let urls: Vec<String> = places.iter().map(|place| place.endpoint(session)).collect();
            let heard: Vec<String> = places.iter().map(Entry::events).collect();
            if is_to_go && self.told.is_sent_on(session, urls.first()) {
                let data = json!({ "sessionId": session, "type": "reconnect", "url": urls[0], "events": heard[0], "spreadMs": spread });
                events.push(event("reconnect", &data));
            }
            let data = json!({ "sessionId": session, "urls": urls, "events": heard, "spreadMs": spread });
            events.extend(self.told.elsewhere(session, None, urls, &data));
        }
        events
    }

    fn is_to_go(&mut self) -> bool {
        self.drain.borrow_and_update().order.is_some()
    }

    /// Sessions that nobody who listens here watches.
    fn waited(&self) -> Vec<String> {
        let seated = |tie: &Tie| self.egress.audience().is_seated(tie.session(), tie.viewer()).is_ok();
        let watches = |session: &str| self.ties.iter().any(|tie| tie.session() == session && seated(tie));
        let waits = |session: &&String| is_session(session) && !watches(session);
        self.wanted.sessions.iter().filter(waits).cloned().collect()
    }

    /// How many watch sessions that are named, as far as that is news. Who watched may wait now.
    fn counted(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.waited().len() != self.told.waited {
            events = self.elsewhere();
        }
        for session in &self.wanted.sessions {
            let count = self.egress.audience().of(session);
            if self.told.counts.insert(session.clone(), count).unwrap_or_default() != count {
                events.push(event("viewers", &json!({ "sessionId": session, "viewers": count })));
            }
        }
        events
    }
}

impl Told {
    /// Who waits for a session is to go there, and has not been told so.
    fn is_sent_on(&mut self, session: &str, url: Option<&String>) -> bool {
        url.is_some_and(|url| self.sent_on.insert(session.to_owned(), url.clone()).as_ref() != Some(url))
    }

    /// The event, if that is news. That there is nowhere to go is none at first.
    fn elsewhere(
        &mut self,
        session: &str,
        viewer: Option<&str>,
        urls: Vec<String>,
        data: &Value,
    ) -> Option<Event> {
        let (key, urls) = ((session.to_owned(), viewer.map(str::to_owned)), json!(urls));
        let is_news = self.elsewhere.get(&key).map_or(urls != json!([]), |known| *known != urls);
        self.elsewhere.insert(key, urls);
        is_news.then(|| event("elsewhere", data))
    }
}

/// Server-sent events, as they happen: kept open with comments, and kept back by no proxy. `place` is taken for as long.
pub fn sent(place: Share, events: impl Stream<Item = Event> + Send + 'static) -> Response {
    // Something at once, so that proxies pass the answer's head on.
    let hello = stream::once(async { Event::default().comment("here is what happens") });
    let all = hello.chain(events).map(move |event| {
        let _ = &place;
        Ok::<_, Infallible>(event)
    });
    // The page of another node listens here, when it has come here from there.
    let any = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (http::UNBUFFERED, any, Sse::new(all).keep_alive(KeepAlive::new().interval(QUIET))).into_response()
}

/// How the sessions that are wanted stand now.
fn states(egress: &Egress, wanted: &Wanted) -> Vec<Event> {
    let sessions = match wanted.sessions.is_empty() {
        true => egress.notices().sessions(),
        false => wanted.sessions.clone(),
    };
    sessions.iter().map(|session| event("state", &state_of(egress, session))).collect()
}

/// How a session stands, for viewers. One whose mountpoint is being taken down has ended for them.
fn state_of(egress: &Egress, session: &str) -> Value {
    match egress.notices().is_on(session) {
        false => json!({ "sessionId": session, "exists": false, "active": false }),
        true => json!({
            "sessionId": session,
            "exists": true,
            "active": egress.notices().is_active(session),
            "cutOff": egress.notices().is_cut_off(session),
            "viewers": egress.audience().of(session),
        }),
    }
}

/// Which events are wanted: `id=SESSION`, each with `viewer=KEY` behind it if somebody watches; without any, all.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    sessions: Vec<String>,
    /// Viewers, each with its session.
    viewers: Vec<(String, String)>,
    /// Whoever listens: any text of its own, by which those who wait spread.
    listener: String,
}

impl Wanted {
    fn read(query: &str) -> Result<Wanted, Failed> {
        let mut wanted = Wanted::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*name, wanted.sessions.last()) {
                ("id", _) if !wanted.has_named(&value) => wanted.sessions.push(value.into_owned()),
                ("id", _) => {
                    // Two tabs show the same: what follows is about it.
                    wanted.sessions.retain(|session| *session != value);
                    wanted.sessions.push(value.into_owned());
                }
                ("viewer", Some(session)) => wanted.viewers.push((session.clone(), value.into_owned())),
                _ => {}
            }
            if wanted.sessions.len().max(wanted.viewers.len()) > MOST_WANTED {
                let why = format!("more than {MOST_WANTED} sessions or viewers; make another connection");
                return Err(Failed(StatusCode::BAD_REQUEST, why));
            }
        }
        Ok(wanted)
    }

    fn has_named(&self, session: &str) -> bool {
        self.sessions.iter().any(|named| named == session)
    }

    fn has(&self, session: &str) -> bool {
        self.sessions.is_empty() || self.has_named(session)
    }
}

fn noticed(notice: &Notice) -> Event {
    event(notice.happened.name(), &json!(notice))
}

/// A viewer is to go on elsewhere.
fn called(call: &Call) -> Event {
    let Call { session, viewer, url } = call;
    event("reconnect", &json!({ "sessionId": session, "type": "reconnect", "viewer": viewer, "url": url }))
}

fn event(kind: &str, data: &Value) -> Event {
    Event::default().event(kind).data(data.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_share_a_connection() {
        let wanted = Wanted::read("id=a%20b&viewer=1&id=c&id=a%20b&viewer=2&more=x").unwrap();
        assert_eq!(wanted.sessions, ["c", "a b"]);
        assert_eq!(wanted.viewers, [("a b".to_owned(), "1".to_owned()), ("a b".to_owned(), "2".to_owned())]);
        assert!(wanted.has("c") && !wanted.has("d"));
        let all = Wanted::read("viewer=1").unwrap();
        assert!(all.has("d") && all.viewers.is_empty(), "a viewer of which session?");
        let many = |count: usize| Wanted::read(&(0..count).map(|n| format!("id={n}&")).collect::<String>());
        assert!(many(MOST_WANTED).is_ok());
        assert_eq!(many(MOST_WANTED + 1).unwrap_err().0, StatusCode::BAD_REQUEST);
    }
}
