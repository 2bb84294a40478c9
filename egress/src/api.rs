//! The HTTP API, besides WHEP: mountpoints, ports, events, and the viewers' page.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt, stream};
use node::auth::Open;
use node::http::{self, Access, Failed, wish};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::notices::Notice;
use crate::state::{Egress, EgressError, NewMountpoint, Outcome};
use crate::{page, whep};

/// A connection for events on which nothing happens is kept open with a comment.
const QUIET: Duration = Duration::from_secs(15);

type Shared = State<Arc<Egress>>;

/// What anybody may read: the page, and what happens to the session that it plays.
const OPEN: &[(&str, Open)] =
    &[("/", Open::Always), ("/events", Open::With("id")), ("/broadcasts", Open::Unguarded)];

/// All routes, guarded; with a listener for operators, those for viewers and those for operators.
pub fn routers(egress: Arc<Egress>) -> (Router, Option<Router>) {
    let door = whep::door(&egress);
    let access = Access {
        token: egress.config.node.token.clone(),
        reading: egress.config.node.read_token.clone(),
        open: OPEN,
        hosts: egress.config.node.hosts.clone(),
        own: wish::paths(&door.base).to_vec(),
        ..Access::default()
    };
    let own = Router::new()
        .route("/", get(viewers_page))
        .route("/events", get(events))
        .route("/broadcasts", get(async |State(egress): Shared| Json(broadcasts(&egress))))
        .route("/portpool", get(async |State(egress): Shared| Json(egress.port_pool())))
        .route("/mountpoints", get(async |State(egress): Shared| Json(egress.mountpoints())))
        .route("/mountpoint/create", post(create))
        .route("/mountpoint/{session}", get(show).delete(destroy))
        .route("/mountpoint/{session}/destroy", post(destroy))
        .with_state(egress.clone());
    let has_admin = egress.config.auth.admin.is_some();
    let routes = http::router(egress.clone()).merge(own).merge(whep::router(egress, door.clone()));
    let guarded = |access| wish::answers(http::guard(routes.clone(), access), door.clone());
    let admin = has_admin.then(|| guarded(access.clone()));
    (guarded(Access { is_public: has_admin, ..access }), admin)
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

async fn show(State(egress): Shared, Path(session): Path<String>) -> Result<Response, Failed> {
    let mountpoint = egress.mountpoint(&session)?;
    Ok(Json(egress.detailed(&mountpoint)).into_response())
}

async fn viewers_page(State(egress): Shared) -> Response {
    http::page(page::html(&egress.config.whep_path), &egress.config.auth.frame_ancestors)
}

/// What can be watched, for the page that lists it: nothing that only operators need.
fn broadcasts(egress: &Egress) -> Value {
    let of = |state: Value| json!({ "sessionId": state["sessionId"], "active": state["active"] });
    state_of(egress, None).into_iter().map(of).collect()
}

/// Which events are wanted.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    /// Only of this session.
    id: Option<String>,
    /// A viewer that is there for as long as this connection is.
    viewer: Option<String>,
}

/// What happens to sessions: first how it stands now, then every change.
async fn events(
    State(egress): Shared,
    Query(Wanted { id, viewer }): Query<Wanted>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // Listened to before the state is read: nothing falls between.
    let listener = egress.notices().listen();
    let now = state_of(&egress, id.as_deref()).into_iter().map(|state| event("state", &state));
    let tie = viewer.and_then(|viewer| egress.audience().tie(id.as_deref()?, &viewer));
    let changes = stream::unfold((listener, egress, id, tie), async |(mut listener, egress, id, tie)| {
        loop {
            let events = match listener.recv().await {
                Ok(notice) if id.as_ref().is_some_and(|id| *id != notice.session_id) => continue,
                Ok(notice) => vec![noticed(&notice)],
                // Too slow to hear all; how it stands now is what counts.
                Err(RecvError::Lagged(_)) => {
                    state_of(&egress, id.as_deref()).iter().map(|state| event("state", state)).collect()
                }
                Err(RecvError::Closed) => return None,
            };
            return Some((stream::iter(events), (listener, egress, id, tie)));
        }
    });
    let all = stream::iter(now).chain(changes.flatten()).map(Ok);
    Sse::new(all).keep_alive(KeepAlive::new().interval(QUIET))
}

/// How sessions stand, for viewers. One whose mountpoint is being taken down has ended for them.
fn state_of(egress: &Egress, id: Option<&str>) -> Vec<Value> {
    let all = egress.mountpoints().mountpoints;
    let of = all.into_iter().filter(|mountpoint| {
        id.is_none_or(|id| id == mountpoint.session_id) && egress.notices().is_on(&mountpoint.session_id)
    });
    let mut states: Vec<Value> = of
        .map(|mountpoint| {
            let more = mountpoint.more.as_ref();
            json!({
                "sessionId": mountpoint.session_id,
                "exists": true,
                "active": more.is_some_and(|more| more.active),
                "viewers": more.map(|more| more.viewers),
            })
        })
        .collect();
    if let (Some(id), true) = (id, states.is_empty()) {
        states.push(json!({ "sessionId": id, "exists": false, "active": false }));
    }
    states
}

fn noticed(notice: &Notice) -> Event {
    event(notice.happened.name(), &json!(notice))
}

fn event(kind: &str, data: &Value) -> Event {
    Event::default().event(kind).data(data.to_string())
}
