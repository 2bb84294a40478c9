//! The HTTP API: JSON in and out, every error `{"error": "…"}` with the right status.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get};
use serde::Deserialize;

use crate::capture::Wish;
use crate::config::ChildSpec;
use crate::relay::{Relay, RelayError};
use crate::view;

/// Largest request body; a child or a route fits many times over.
const BODY_LIMIT: usize = 64 * 1024;

/// The routes.
pub fn router(relay: Arc<Relay>) -> Router {
    Router::new()
        .route("/status", get(async |State(relay): State<Arc<Relay>>| Json(relay.status().await)))
        .route("/topology", get(async |State(relay): State<Arc<Relay>>| Json(relay.topology().await)))
        .route("/streams", get(async |State(relay): State<Arc<Relay>>| Json(relay.streams().await)))
        .route(
            "/children",
            get(async |State(relay): State<Arc<Relay>>| Json(relay.children().await)).post(add_child),
        )
        .route("/children/{name}", delete(remove_child))
        .route("/routes", axum::routing::post(route))
        .route("/capture", get(capture))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .fallback(async || Failed(StatusCode::NOT_FOUND, "no such path; see docs/operations.md".to_owned()))
        .method_not_allowed_fallback(async || {
            Failed(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method".to_owned())
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(relay)
}

/// An error as the API sends it.
struct Failed(StatusCode, String);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, Json(view::Failure { error: self.1 })).into_response()
    }
}

impl From<RelayError> for Failed {
    fn from(error: RelayError) -> Self {
        let status = match &error {
            RelayError::Bad(_) => StatusCode::BAD_REQUEST,
            RelayError::NotFound(_) => StatusCode::NOT_FOUND,
            RelayError::Conflict(_) => StatusCode::CONFLICT,
            RelayError::Kernel(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Failed(status, error.to_string())
    }
}

impl From<JsonRejection> for Failed {
    fn from(rejection: JsonRejection) -> Self {
        Failed(rejection.status(), rejection.body_text())
    }
}

async fn ready(State(relay): State<Arc<Relay>>) -> Response {
    let status = relay.status().await;
    if status.healthy {
        return "ready\n".into_response();
    }
    Failed(StatusCode::SERVICE_UNAVAILABLE, status.problems.join("; ")).into_response()
}

async fn add_child(
    State(relay): State<Arc<Relay>>,
    body: Result<Json<view::NewChild>, JsonRejection>,
) -> Result<Response, Failed> {
    let Json(child) = body?;
    let spec = ChildSpec::try_from(child).map_err(RelayError::from)?;
    let child = relay.add_child(spec).await?;
    Ok((StatusCode::CREATED, Json(child)).into_response())
}

async fn remove_child(
    State(relay): State<Arc<Relay>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Failed> {
    relay.remove_child(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn route(
    State(relay): State<Arc<Relay>>,
    body: Result<Json<view::Route>, JsonRejection>,
) -> Result<StatusCode, Failed> {
    let Json(route) = body?;
    relay.route(route).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What `GET /capture` takes; every part is optional.
#[derive(Debug, Default, Deserialize)]
struct CaptureQuery {
    ssrc: Option<u32>,
    port: Option<u16>,
    count: Option<u64>,
    seconds: Option<u64>,
}

async fn capture(
    State(relay): State<Arc<Relay>>,
    Query(query): Query<CaptureQuery>,
) -> Result<Response, Failed> {
    let CaptureQuery { ssrc, port, count, seconds } = query;
    let mut pieces = relay.capture(Wish { ssrc, port, count, seconds }).await?;
    let stream = futures_util::stream::poll_fn(move |context| pieces.poll_recv(context));
    Ok(([(header::CONTENT_TYPE, "application/vnd.tcpdump.pcap")], Body::from_stream(stream)).into_response())
}
