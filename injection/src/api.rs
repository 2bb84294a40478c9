//! The HTTP API: sessions, the page to publish from, and what every node has; [`crate::whip`] is merged in.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use node::http::{self, Access, Failed, wish};
use serde_json::{Value, json};

use crate::injector::Injector;
use crate::session::NewSession;
use crate::{page, view, whip};

/// The routes, guarded.
pub fn router(injector: Arc<Injector>) -> Router {
    let config = injector.config();
    let own = Router::new()
        .route("/session", post(create))
        .route("/session/create", post(create))
        .route("/session/{sid}", get(session).delete(destroy))
        .route("/session/{sid}/destroy", post(destroy))
        .route("/session/{sid}/publisher", delete(dismiss))
        .route("/sessions", get(async |State(injector): State<Arc<Injector>>| Json(injector.sessions())))
        .route("/publish", get(publish_page))
        .with_state(injector.clone());
    let door = whip::door(config);
    let access = Access {
        token: config.token.clone(),
        own: wish::paths(&door.base).to_vec(),
        limits: injector.limits().clone(),
        ..Access::default()
    };
    let routes = http::router(injector.clone()).merge(own).merge(whip::router(injector, door.clone()));
    wish::answers(http::guard(routes, access), door)
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

async fn publish_page(State(injector): State<Arc<Injector>>) -> Html<String> {
    Html(page::html(&injector.config().whip_path))
}
