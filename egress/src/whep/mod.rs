//! WHEP (draft-ietf-wish-whep): for players that send an offer, and for those that expect one.
//!
//! `POST` with an offer is answered with the answer. An empty `POST` is answered with an offer, and the player `PATCH`es its
//! answer. The resource that `Location` names takes candidates (`PATCH`) and ends with `DELETE`. What WHIP does in the same way is
//! [`node::http::wish`]'s.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{patch, post};
use node::http::Failed;
use node::http::wish::{self, Door, FRAGMENT, SDP};

use crate::state::Egress;

/// What a viewer's resource takes by PATCH.
const CHANGES: &str = "application/sdp, application/trickle-ice-sdpfrag";
/// Methods of an endpoint and of a viewer.
const ENDPOINT: &str = "POST, OPTIONS";
const VIEWER: &str = "PATCH, DELETE, OPTIONS";

type Shared = State<Arc<Egress>>;

/// Who may watch.
pub fn door(egress: &Egress) -> Arc<Door> {
    Arc::new(Door {
        base: egress.config.whep_path.clone(),
        protocol: "whep",
        admission: egress.admission().clone(),
        accept_patch: CHANGES,
    })
}

/// The routes. They have a token of their own.
pub fn router(egress: Arc<Egress>, door: Arc<Door>) -> Router {
    let [endpoint, viewer] = wish::paths(&door.base);
    let of_viewer = patch(change).delete(leave);
    let router = Router::new()
        .route(&endpoint, post(begin).options(async || wish::options(ENDPOINT, Some(SDP), None)))
        .route(&viewer, of_viewer.options(async || wish::options(VIEWER, None, Some(CHANGES))));
    wish::protect(router, door).with_state(egress)
}

async fn begin(
    State(egress): Shared,
    Path(session): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failed> {
    egress.mountpoint(&session)?;
    let offer = wish::offer(&headers, &body)?;
    let offer = egress.watch(&session, offer.map(str::as_bytes)).await?;
    let location = wish::location(&session, &offer.viewer);
    Ok(wish::created(location, wish::etag(ice_session(&offer.viewer)), CHANGES, offer.sdp))
}

async fn change(
    State(egress): Shared,
    Path((session, viewer)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Failed> {
    let kind = wish::content_type(&headers, &[SDP, FRAGMENT])?;
    egress.audience().is_seated(&session, &viewer)?;
    wish::if_match(&headers, ice_session(&viewer))?;
    if kind == SDP {
        egress.audience().answer(&session, &viewer, &body).await?;
    } else {
        egress.audience().trickle(&session, &viewer, wish::text(&body)?).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn leave(
    State(egress): Shared,
    Path((session, viewer)): Path<(String, String)>,
) -> Result<StatusCode, Failed> {
    egress.audience().leave(&session, &viewer).await?;
    Ok(StatusCode::OK)
}

/// A viewer has one ICE session as long as it lives.
fn ice_session(viewer: &str) -> &str {
    viewer.get(..16).unwrap_or(viewer)
}
