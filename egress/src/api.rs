//! The HTTP API, besides WHEP: mountpoints, ports, events, and the viewers' page.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use node::http::{self, Access, Client, Failed, wish};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::capacity::Refused;
use crate::notices::Notice;
use crate::state::{Egress, EgressError, NewMountpoint, Outcome};
use crate::{page, whep};

/// A connection for events on which nothing happens is kept open with a comment.
const QUIET: Duration = Duration::from_secs(15);

type Shared = State<Arc<Egress>>;

/// All routes, guarded.
pub fn router(egress: Arc<Egress>) -> Router {
    let door = whep::door(&egress.config);
    let access = Access {
        token: egress.config.node.token.clone(),
        own: wish::paths(&door.base).to_vec(),
        limits: egress.limits.clone(),
        ..Access::default()
    };
    let own = Router::new()
        .route("/", get(viewers_page))
        .route("/events", get(events))
        .route("/portpool", get(async |State(egress): Shared| Json(egress.port_pool())))
        .route("/mountpoints", get(async |State(egress): Shared| Json(egress.mountpoints())))
        .route("/mountpoint/create", post(create))
        .route("/mountpoint/{session}", get(show).delete(destroy))
        .route("/mountpoint/{session}/destroy", post(destroy))
        .with_state(egress.clone());
    let routes = http::router(egress.clone()).merge(own).merge(whep::router(egress, door.clone()));
    wish::answers(http::guard(routes, access), door)
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

/// The page has all that it needs in itself; nothing is to be loaded from elsewhere.
async fn viewers_page(State(egress): Shared) -> Response {
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                  media-src blob: mediastream:; img-src data:";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, page::html(&egress.config.whep_path)).into_response()
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
    client: Client,
    Query(Wanted { id, viewer }): Query<Wanted>,
) -> Result<impl IntoResponse, Refused> {
    let place = egress.capacity().listener(client)?;
    // Listened to before the state is read: nothing falls between.
    let listener = egress.notices().listen();
    let now = state_of(&egress, id.as_deref()).into_iter().map(|state| event("state", &state));
    let tie = viewer.and_then(|viewer| egress.audience().tie(id.as_deref()?, &viewer));
    let changes =
        stream::unfold((listener, egress, id, tie, place), async |(mut listener, egress, id, tie, place)| {
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
                return Some((stream::iter(events), (listener, egress, id, tie, place)));
            }
        });
    // Something at once, so that proxies pass the answer's head on.
    let hello = stream::once(async { Event::default().comment("here is what happens") });
    let all = hello.chain(stream::iter(now)).chain(changes.flatten()).map(Ok::<_, Infallible>);
    Ok((http::UNBUFFERED, Sse::new(all).keep_alive(KeepAlive::new().interval(QUIET))))
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
