//! The HTTP API, besides WHEP: mountpoints, ports, [`events`], and the viewers' page.

pub mod events;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use node::auth::Open;
use node::http::{self, Access, Failed, HttpService, Reaches, wish};
use node::watch;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::state::{Egress, EgressError, NewMountpoint, Outcome};
use crate::view::Viewers;
use crate::{page, whep};

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
        .route("/events", get(events::follow))
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

#[cfg(test)]
mod tests {
    use crate::config::OWN_PATHS;

    #[test]
    fn whep_leaves_every_path_of_the_node_alone() {
        for path in node::config::routes(include_str!("api.rs")) {
            assert!(OWN_PATHS.contains(&&*path), "{path}");
        }
    }
}
