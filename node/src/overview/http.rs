//! `GET /tree`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;

use super::keep::Overviews;
use super::page;
use crate::auth::wants_page;
use crate::config::NodeConfig;
use crate::http::Failed;

/// The route, for a node with this configuration.
pub fn router(config: &NodeConfig) -> Router {
    let overviews = config.tree.as_ref().map(|tree| Overviews::new(tree.redis.clone(), &config.tree_id));
    Router::new().route("/tree", get(tree)).with_state(Arc::new(overviews))
}

/// JSON, and for a browser the page, in which there is nothing yet: what it shows it asks for here.
async fn tree(State(overviews): State<Arc<Option<Overviews>>>, headers: HeaderMap) -> Response {
    let mut response = match wants_page(&headers) {
        true => page::page(),
        false => match json(&overviews).await {
            Ok(response) => response,
            Err(failed) => failed.into_response(),
        },
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

async fn json(overviews: &Option<Overviews>) -> Result<Response, Failed> {
    let overviews = overviews.as_ref().ok_or_else(|| {
        let why = "this node is in no tree: it is run without Redis (REDIS_URL or --redis-url)";
        Failed(StatusCode::NOT_FOUND, why.to_owned())
    })?;
    let overview = overviews.get().await.map_err(|why| Failed(StatusCode::SERVICE_UNAVAILABLE, why))?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(&*overview)).into_response())
}
