//! `POST /drain`, `DELETE /drain`, `GET /drain`, at every node.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::get;
use serde::Deserialize;

use super::{Drain, DrainView};
use crate::config::is_name;
use crate::http::Failed;

/// A node that can be drained.
pub trait Drains: Send + Sync + 'static {
    /// How far it is.
    fn drain(&self) -> &Drain;

    /// How many viewers, children or publications it has now.
    fn count(&self) -> u64;

    /// Why it cannot give away to this node what it has, if somebody is named.
    fn cannot_drain(&self, to: Option<&str>) -> impl Future<Output = Option<String>> + Send {
        let why = to.map(|_| "this node chooses by itself where its own go; leave `to` out".to_owned());
        std::future::ready(why)
    }
}

/// What may be said with the order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    to: Option<String>,
}

/// The routes; the same at every node.
pub fn routes<N: Drains>(node: Arc<N>) -> Router {
    let shown = get(async |State(node): State<Arc<N>>| Json(node.drain().view()));
    Router::new().route("/drain", shown.post(begin::<N>).delete(undo::<N>)).with_state(node)
}

async fn begin<N: Drains>(
    State(node): State<Arc<N>>,
    body: Bytes,
) -> Result<(StatusCode, Json<DrainView>), Failed> {
    let Json(Wish { to }) = match body.is_empty() {
        true => Json::default(),
        false => Json::from_bytes(&body)?,
    };
    if to.as_deref().is_some_and(|to| !is_name(to)) {
        return Err(Failed(StatusCode::BAD_REQUEST, "`to` is no name that a node can have".to_owned()));
    }
    if let Some(why) = node.cannot_drain(to.as_deref()).await {
        return Err(Failed(StatusCode::CONFLICT, why));
    }
    node.drain().begin(to, false, Instant::now());
    node.drain().counted(node.count());
    Ok((StatusCode::ACCEPTED, Json(node.drain().view())))
}

async fn undo<N: Drains>(State(node): State<Arc<N>>) -> Result<Json<DrainView>, Failed> {
    match node.drain().undo() {
        true => Ok(Json(node.drain().view())),
        false => Err(Failed(StatusCode::CONFLICT, "this node is ending; start it again".to_owned())),
    }
}
