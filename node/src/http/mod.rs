//! The HTTP API that all nodes have. A node type implements [`Base`], merges its own routes with [`router`], puts
//! [`guard`] around the whole and [`serve`]s it:
//!
//! ```text
//! let routes = http::router(node.clone()).merge(own_routes(node));
//! http::serve(listener, http::guard(routes, access), limits, stopped).await
//! ```
//!
//! [`Limits`] is what may be taken of the node, by whom ([`Client`]), and counts who was refused; [`Shares`] is for limits
//! that a node has besides.

mod beginning;
mod body;
mod classified;
mod client;
mod failed;
mod guard;
mod limits;
mod page;
mod rates;
mod serve;
mod shares;
mod slots;
mod trace;
pub mod wish;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::FutureExt;
use serde::Serialize;
use tokio::net::TcpListener;

pub use crate::auth::Access;
use crate::drain::{self, Drains};
use crate::view::Topology;
pub use beginning::Beginning;
pub use classified::{Classified, ErrorClass};
pub use client::{Client, Trusted, proxy_protocol};
pub use failed::{Failed, Failure};
pub use guard::{bearer, guard};
pub use limits::{Busy, Limit, Limits, Taken};
pub use page::{Reaches, page};
pub use rates::{Rate, Rates};
pub use serve::{Bounds, serve, serve_within};
pub use shares::{NoShare, Share, Shares};
pub use trace::TraceId;

/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Of a request: whoever asks may read only what is open to all, and so is not told how the node is made.
#[derive(Clone, Copy, Debug)]
pub struct Stranger;
/// For answers without an end: nginx passes them on as they come, and nobody changes them on the way.
pub const UNBUFFERED: [(HeaderName, HeaderValue); 2] = [
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
];

/// What every node can be asked.
pub trait Base: Drains {
    /// `GET /status`.
    type Status: Serialize + Send;

    /// Everything about the node.
    fn status(&self) -> impl Future<Output = Self::Status> + Send;

    /// Its place in the tree.
    fn topology(&self) -> impl Future<Output = Topology> + Send;

    /// Looks at everything again, and returns when what follows from it is done.
    fn refresh(&self) -> impl Future<Output = Result<(), Failed>> + Send;

    /// Prometheus text.
    fn metrics(&self) -> impl Future<Output = Result<String, Failed>> + Send;

    /// Why the node cannot do its job, each a sentence; empty when it can.
    fn problems(&self) -> impl Future<Output = Vec<String>> + Send;
}

/// The routes that all nodes have.
pub fn router<B: Base>(base: Arc<B>) -> Router {
    Router::new()
        .route("/status", get(async |State(base): State<Arc<B>>| Json(base.status().await)))
        .route("/topology", get(async |State(base): State<Arc<B>>| Json(base.topology().await)))
        .route("/refresh", post(refresh::<B>))
        .route("/metrics", get(metrics::<B>))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready::<B>))
        .with_state(base.clone())
        .merge(drain::routes(base))
}

async fn refresh<B: Base>(State(base): State<Arc<B>>) -> Result<Json<Topology>, Failed> {
    base.refresh().await?;
    Ok(Json(base.topology().await))
}

async fn metrics<B: Base>(State(base): State<Arc<B>>) -> Result<Response, Failed> {
    Ok(([(header::CONTENT_TYPE, METRICS)], base.metrics().await?).into_response())
}

async fn ready<B: Base>(
    State(base): State<Arc<B>>,
    stranger: Option<Extension<Stranger>>,
) -> Result<&'static str, Failed> {
    let mut problems = base.problems().await;
    // Whoever asks is about to send somebody here.
    problems.extend(base.drain().warning());
    if problems.is_empty() {
        return Ok("ready\n");
    }
    let why = if stranger.is_some() { "not ready".to_owned() } else { problems.join("; ") };
    Err(Failed(StatusCode::SERVICE_UNAVAILABLE, why))
}

/// Routes behind a guard, and what may be taken of them.
pub struct HttpService {
    /// The routes.
    pub router: Router,
    /// The limits that their guard has.
    pub limits: Arc<Limits>,
}

/// Serves publishers and viewers on one listener and, if there is a second, operators on that, until `stopped`.
pub async fn serve_both(
    (listener, service): (TcpListener, HttpService),
    admin: Option<(TcpListener, HttpService)>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let HttpService { router, limits } = service;
    let Some((admin, operators)) = admin else { return serve(listener, router, limits, stopped).await };
    let stopped = stopped.boxed().shared();
    let served = serve(listener, router, limits, stopped.clone());
    let administered = serve(admin, operators.router, operators.limits, stopped);
    tokio::try_join!(served, administered).map(drop)
}
