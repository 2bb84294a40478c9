//! The HTTP API: sessions, the page to publish from, and what every node has; [`crate::whip`] is merged in.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use node::auth::Open;
use node::drain::Drains;
use node::http::{self, Access, Failed, HttpService, Reaches, wish};
use node::watch;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::injector::Injector;
use crate::session::NewSession;
use crate::{page, view, whip};

/// What anybody may read: the page, and what it needs.
const OPEN: &[(&str, Open)] = &[("/publish", Open::Always), ("/standing", Open::Always)];

/// The routes, guarded; with a listener for operators, those for publishers and those for operators.
pub fn routers(injector: Arc<Injector>) -> (HttpService, Option<HttpService>) {
    let config = injector.config();
    let own = Router::new()
        .route("/session", post(create))
        .route("/session/create", post(create))
        .route("/session/{sid}", get(session).delete(destroy))
        .route("/session/{sid}/destroy", post(destroy))
        .route("/session/{sid}/publisher", delete(dismiss))
        .route("/sessions", get(async |State(injector): State<Arc<Injector>>| Json(injector.sessions())))
        .route("/publish", get(publish_page))
        .route("/standing", get(standing))
        .with_state(injector.clone());
    let door = whip::door(&injector);
    let access = Access {
        token: config.token.clone(),
        reading: config.read_token.clone(),
        own: [&wish::paths(&door.base)[..], &[watch::ROUTE.to_owned()]].concat(),
        open: OPEN,
        hosts: config.hosts.clone(),
        limits: injector.limits().clone(),
        ..Access::default()
    };
    let has_admin = config.auth.admin.is_some();
    let watch = watch::router(injector.redirector().clone());
    let tree = node::overview::router(&injector.config().node);
    let routes = http::router(injector.clone()).merge(own).merge(watch).merge(tree);
    let routes = routes.merge(whip::router(injector, door.clone()));
    wish::services(&routes, access, &door, has_admin)
}

async fn create(
    State(injector): State<Arc<Injector>>,
    uri: Uri,
    body: Result<Json<NewSession>, JsonRejection>,
) -> Result<Response, Failed> {
    let Json(new) = body?;
    let session = injector.create(new).await?;
    // Relative, for whoever is behind a proxy with paths of its own: /session and /session/create are not equally deep.
    let folder = if uri.path().ends_with("/create") { "" } else { "session/" };
    let location = [(header::LOCATION, format!("{folder}{}", session.id))];
    Ok((StatusCode::CREATED, location, Json(injector.created(&session))).into_response())
}

async fn session(
    State(injector): State<Arc<Injector>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<view::Session>, Failed> {
    let Path(id) = id?;
    Ok(Json(injector.session(&id)?))
}

async fn destroy(
    State(injector): State<Arc<Injector>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Failed> {
    let Path(id) = id?;
    let session = injector.destroy(&id).await?;
    Ok(Json(json!({ "sessionId": session.id, "treeId": injector.config().tree_id, "active": false })))
}

async fn dismiss(
    State(injector): State<Arc<Injector>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Failed> {
    let Path(id) = id?;
    injector.entry(&id)?.unpublish(None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose standing is asked for.
#[derive(Debug, Deserialize)]
struct Whose {
    /// The session.
    id: String,
    /// The publication, by the name that only its publisher was told.
    key: String,
}

/// What has become of a publication, for the page that publishes it. Who was never told a key learns nothing.
async fn standing(
    State(injector): State<Arc<Injector>>,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<Value>, Failed> {
    let Query(Whose { id, key }) = whose?;
    let live = injector.entry(&id)?;
    if !live.has_had(&key) {
        let why = "this is for those who publish: `key` is the end of the Location that they were told";
        return Err(Failed(StatusCode::FORBIDDEN, why.to_owned()));
    }
    let (publisher, publications) = (live.is_taken(), live.publications());
    let mut standing = json!({ "publisher": publisher, "publications": publications });
    if injector.drain().is_on() {
        standing["draining"] = true.into();
    }
    Ok(Json(standing))
}

async fn publish_page(State(injector): State<Arc<Injector>>) -> Response {
    let config = injector.config();
    http::page(page::html(&config.whip_path), &config.auth.frame_ancestors, Reaches::ItsNode)
}

#[cfg(test)]
mod tests {
    use crate::config::OWN_PATHS;

    #[test]
    fn whip_leaves_every_path_of_the_node_alone() {
        for path in node::config::routes(include_str!("api.rs")) {
            assert!(OWN_PATHS.contains(&&*path), "{path}");
        }
    }
}
