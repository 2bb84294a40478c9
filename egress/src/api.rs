//! The HTTP API, besides WHEP: mountpoints, ports, events, and the viewers' page.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt, stream};
use node::auth::Open;
use node::http::{self, Access, Client, Failed, HttpService, Reaches, Share, wish};
use node::watch;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::moves::Places;
use crate::notices::Notice;
use crate::state::{Call, Egress, EgressError, NewMountpoint, Outcome, Tie};
use crate::view::Viewers;
use crate::{page, whep};

/// A connection for events on which nothing happens is kept open with a comment.
const QUIET: Duration = Duration::from_secs(15);
/// When a browser is to connect again after a break, ms; a viewer's place is kept for longer.
const RETURNS_AFTER: std::ops::Range<u64> = 500..3000;
/// Most sessions, and viewers, that one connection is about: as many as a browser has tabs.
const MOST_WANTED: usize = 64;

type Shared = State<Arc<Egress>>;

/// What anybody may read: the page, and what happens to the session that it plays.
const OPEN: &[(&str, Open)] = &[
    ("/", Open::Always),
    ("/events.js", Open::Always),
    ("/events", Open::With("id")),
    ("/broadcasts", Open::Unguarded),
];

/// All routes, guarded; with a listener for operators, those for viewers and those for operators.
pub fn routers(egress: Arc<Egress>) -> (HttpService, Option<HttpService>) {
    let door = whep::door(&egress);
    let access = Access {
        token: egress.config.node.token.clone(),
        reading: egress.config.node.read_token.clone(),
        open: OPEN,
        hosts: egress.config.node.hosts.clone(),
        own: [&whep::paths(&door.base)[..], &[watch::ROUTE.to_owned()]].concat(),
        limits: egress.limits.clone(),
        ..Access::default()
    };
    let own = Router::new()
        .route("/", get(viewers_page))
        .route("/events.js", get(worker))
        .route("/events", get(events))
        .route("/broadcasts", get(async |State(egress): Shared| Json(broadcasts(&egress))))
        .route("/portpool", get(port_pool))
        .route("/mountpoints", get(async |State(egress): Shared| Json(egress.mountpoints())))
        .route("/viewers", get(viewers))
        .route("/mountpoint/create", post(create))
        .route("/mountpoint/{session}", get(show).delete(destroy))
        .route("/mountpoint/{session}/destroy", post(destroy))
        .with_state(egress.clone());
    let has_admin = egress.config.auth.admin.is_some();
    let watch = watch::router(egress.redirector().clone());
    let tree = node::overview::router(&egress.config.node);
    let routes = http::router(egress.clone()).merge(own).merge(watch).merge(tree);
    let routes = routes.merge(whep::router(egress, door.clone()));
    wish::services(&routes, access, &door, has_admin)
}

async fn create(
    State(egress): Shared,
    body: Result<Json<NewMountpoint>, JsonRejection>,
) -> Result<Response, Failed> {
    let Json(new) = body?;
    let (status, mountpoint) = match egress.create(new).await? {
        Outcome::Made(mountpoint) => (StatusCode::CREATED, mountpoint),
        Outcome::WasThere(mountpoint) => (StatusCode::OK, mountpoint),
    };
    Ok((status, Json(egress.brief(&mountpoint))).into_response())
}

async fn destroy(State(egress): Shared, Path(session): Path<String>) -> Result<Json<Value>, Failed> {
    match egress.destroy(&session).await {
        true => Ok(Json(json!({ "sessionId": session, "destroyed": true }))),
        false => Err(EgressError::UnknownSession(session).into()),
    }
}

/// `id=SESSION`: only those.
#[derive(Deserialize)]
struct Whose {
    id: Option<String>,
}

async fn viewers(State(egress): Shared, Query(whose): Query<Whose>) -> Json<Viewers> {
    Json(egress.viewers(whose.id.as_deref()))
}

async fn port_pool(State(egress): Shared) -> Result<Response, Failed> {
    Ok(Json(egress.port_pool().ok_or(EgressError::NoPool)?).into_response())
}

async fn show(State(egress): Shared, Path(session): Path<String>) -> Result<Response, Failed> {
    let mountpoint = egress.mountpoint(&session)?;
    Ok(Json(egress.detailed(&mountpoint)).into_response())
}

async fn viewers_page(State(egress): Shared) -> Response {
    http::page(page::html(&egress.config.whep_path), &egress.config.auth.frame_ancestors, Reaches::Anybody)
}

/// What can be watched, for the page that lists it: nothing that only operators need.
fn broadcasts(egress: &Egress) -> Value {
    let notices = egress.notices();
    let of = |id: &String| json!({ "sessionId": id, "active": notices.is_active(id), "viewers": egress.audience().of(id) });
    notices.sessions().iter().map(of).collect()
}

/// What tabs listen to events through, instead of each having a connection.
async fn worker() -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, page::WORKER).into_response()
}

/// What happens to sessions: first how it stands now, then every change. A viewer that is named stays for as long as its
/// connection does, and is told where else to go.
async fn events(
    State(egress): Shared,
    client: Client,
    RawQuery(query): RawQuery,
) -> Result<Response, Response> {
    let wanted = Wanted::read(query.as_deref().unwrap_or_default()).map_err(IntoResponse::into_response)?;
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
    places: tokio::sync::watch::Receiver<Arc<Places>>,
    ties: Vec<Tie>,
    /// By viewer, where it was told that it could go.
    told: BTreeMap<String, Value>,
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
        let places = egress.places();
        (Connection { egress, wanted, notices, calls, places, ties, told: BTreeMap::new() }, now)
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
            };
            if !events.is_empty() {
                return Some(events);
            }
        }
    }

    /// Where its viewers could go if this node were gone, as far as that is news.
    fn elsewhere(&mut self) -> Vec<Event> {
        self.places.mark_unchanged();
        let mut events = Vec::new();
        for tie in &self.ties {
            let (urls, spread) = self.egress.elsewhere(tie.session(), tie.viewer());
            let known = self.told.get(tie.viewer());
            let urls = json!(urls);
            if known.map_or(urls != json!([]), |known| *known != urls) {
                let (session, viewer) = (tie.session(), tie.viewer());
                let data =
                    json!({ "sessionId": session, "viewer": viewer, "urls": urls, "spreadMs": spread });
                events.push(event("elsewhere", &data));
                self.told.insert(viewer.to_owned(), urls);
            }
        }
        events
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
    use crate::config::OWN_PATHS;

    #[test]
    fn whep_leaves_every_path_of_the_node_alone() {
        for path in node::config::routes(include_str!("api.rs")) {
            assert!(OWN_PATHS.contains(&&*path), "{path}");
        }
    }

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
