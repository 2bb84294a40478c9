//! The HTTP API that all nodes have. A node type implements [`Base`], merges its own routes with [`router`], puts
//! [`guard`] around the whole and [`serve`]s it:
//!
//! ```text
//! let routes = http::router(node.clone()).merge(own_routes(node));
//! http::serve(listener, http::guard(routes, access), stopped).await
//! ```

mod classified;
mod failed;
mod guard;
mod limit;
mod page;
mod serve;
mod slots;
pub mod wish;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::FutureExt;
use serde::Serialize;
use tokio::net::TcpListener;

pub use crate::auth::Access;
use crate::view::Topology;
pub use classified::{Classified, ErrorClass};
pub use failed::{Failed, Failure};
pub use guard::{bearer, guard};
pub use limit::Rate;
pub use page::page;
pub use serve::{Bounds, serve, serve_within};

/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Of a request: whoever asks may read only what is open to all, and so is not told how the node is made.
#[derive(Clone, Copy, Debug)]
pub struct Stranger;

/// What every node can be asked.
pub trait Base: Send + Sync + 'static {
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
        .with_state(base)
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
    let problems = base.problems().await;
    if problems.is_empty() {
        return Ok("ready\n");
    }
    let why = if stranger.is_some() { "not ready".to_owned() } else { problems.join("; ") };
    Err(Failed(StatusCode::SERVICE_UNAVAILABLE, why))
}

/// Serves publishers and viewers on one listener and, if there is a second, operators on that, until `stopped`.
pub async fn serve_both(
    (listener, router): (TcpListener, Router),
    admin: Option<(TcpListener, Router)>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let Some((admin_listener, admin_router)) = admin else { return serve(listener, router, stopped).await };
    let stopped = stopped.boxed().shared();
    let both = (serve(listener, router, stopped.clone()), serve(admin_listener, admin_router, stopped));
    tokio::try_join!(both.0, both.1).map(drop)
}
