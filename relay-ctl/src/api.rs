//! The HTTP API: JSON in and out, every error `{"error": "…"}` with the right status.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get};
use node::http::{self, Access, Base, Failed};
use node::watch;
use serde::Deserialize;

use crate::config::ChildSpec;
use crate::metrics;
use crate::relay::capture::CaptureRequest;
use crate::relay::{ChildError, Relay, RelayError};
use crate::view;

/// What shows media, and needs the token for reading as well.
const PRIVATE: &[&str] = &["/capture"];

/// The routes, guarded.
pub fn router(relay: Arc<Relay>) -> Router {
    let own = Router::new()
        .route("/streams", get(async |State(relay): State<Arc<Relay>>| Json(relay.streams().await)))
        .route(
            "/children",
            get(async |State(relay): State<Arc<Relay>>| Json(relay.children().await)).post(add_child),
        )
        .route("/children/{name}", delete(remove_child))
        .route("/routes", axum::routing::post(route))
        .route("/capture", get(capture))
        .with_state(relay.clone());
    let config = relay.config();
    let access = Access {
        token: config.token.clone(),
        reading: config.read_token.clone(),
        private: PRIVATE,
        own: vec![watch::ROUTE.to_owned()],
        hosts: config.hosts.clone(),
        limits: relay.limits().clone(),
        ..Access::default()
    };
    let watch = watch::router(relay.redirector().clone());
    let tree = node::overview::router(config);
    http::guard(http::router(relay).merge(own).merge(watch).merge(tree), access)
}

impl Base for Relay {
    type Status = view::Status;

    async fn status(&self) -> view::Status {
        self.status().await
    }

    async fn topology(&self) -> view::Topology {
        self.topology().await
    }

    async fn refresh(&self) -> Result<(), Failed> {
        self.refresh().await.map_err(|why| Failed(StatusCode::SERVICE_UNAVAILABLE, why))
    }

    async fn metrics(&self) -> Result<String, Failed> {
        metrics::render(self).await.map_err(|why| Failed(StatusCode::SERVICE_UNAVAILABLE, why))
    }

    async fn problems(&self) -> Vec<String> {
        Relay::problems(self).await
    }
}

/// The one place that says which error has which status.
impl From<RelayError> for Failed {
    fn from(error: RelayError) -> Self {
        let status = match &error {
            RelayError::Config(_) | RelayError::NotListening { .. } => StatusCode::BAD_REQUEST,
            RelayError::UnknownChild(_) => StatusCode::NOT_FOUND,
            RelayError::Child { error, .. } => match error {
                ChildError::Host(_) => StatusCode::BAD_REQUEST,
                ChildError::NameTaken
                | ChildError::PlaceTaken { .. }
                | ChildError::Itself { .. }
                | ChildError::TooMany
                | ChildError::Unsendable(_) => StatusCode::CONFLICT,
            },
            RelayError::CaptureRunning | RelayError::FollowsRedis { .. } => StatusCode::CONFLICT,
            RelayError::Kernel(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Failed(status, error.to_string())
    }
}

fn changeable(relay: &Relay) -> Result<(), RelayError> {
    match &relay.config().tree {
        None => Ok(()),
        Some(_) => Err(RelayError::FollowsRedis { node: relay.config().node_id.clone() }),
    }
}

async fn add_child(
    State(relay): State<Arc<Relay>>,
    body: Result<Json<view::NewChild>, JsonRejection>,
) -> Result<Response, Failed> {
    changeable(&relay)?;
    let Json(child) = body?;
    let spec = ChildSpec::try_from(child).map_err(RelayError::from)?;
    let child = relay.add_child(spec).await?;
    Ok((StatusCode::CREATED, Json(child)).into_response())
}

async fn remove_child(
    State(relay): State<Arc<Relay>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Failed> {
    changeable(&relay)?;
    let Path(name) = name?;
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
    query: Result<Query<CaptureQuery>, QueryRejection>,
) -> Result<Response, Failed> {
    let Query(CaptureQuery { ssrc, port, count, seconds }) = query?;
    let mut pieces = relay.capture(CaptureRequest { ssrc, port, count, seconds }).await?;
    let stream = futures_util::stream::poll_fn(move |context| pieces.poll_recv(context));
    Ok(([(header::CONTENT_TYPE, "application/vnd.tcpdump.pcap")], Body::from_stream(stream)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_status_and_names_the_child() {
        let of = |error| RelayError::Child { child: "egress-1".to_owned(), error };
        let taken = || ChildError::PlaceTaken { other: "egress-2".to_owned() };
        let table = [
            (of(ChildError::Host("host 'x' has no address".to_owned())), StatusCode::BAD_REQUEST),
            (of(ChildError::NameTaken), StatusCode::CONFLICT),
            (of(taken()), StatusCode::CONFLICT),
            (of(ChildError::TooMany), StatusCode::CONFLICT),
            (RelayError::UnknownChild("egress-1".to_owned()), StatusCode::NOT_FOUND),
            (RelayError::FollowsRedis { node: "egress-1".to_owned() }, StatusCode::CONFLICT),
        ];
        for (error, status) in table {
            let Failed(given, text) = error.into();
            assert_eq!(given, status, "{text}");
            assert!(text.contains("egress-1") && !text.contains('\n'), "{text}");
        }
        assert!(of(taken()).to_string().starts_with("child egress-1: it has the same address and port"));
    }
}
