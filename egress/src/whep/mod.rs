//! WHEP (draft-ietf-wish-whep-03): for players that send an offer, and for those that expect one.
//!
//! `POST` with an offer is answered with the answer (201); with one that Janus cannot serve, with a counter-offer (406), which
//! the player `PATCH`es its answer to. So is an empty `POST`, but that it is 201: older drafts have it. The resource that
//! `Location` names takes candidates and, where the native server serves, ICE restarts (`PATCH`), and ends with `DELETE`; `Link`
//! names its [`events`]; below it our page says how it fares ([`report`]). What WHIP does in the same way is [`node::http::wish`]'s.

mod events;
mod report;

use std::sync::Arc;
use std::time::SystemTime;

use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use node::http::wish::{self, Came, Door, FRAGMENT, SDP};
use node::http::{Client, Failed, TraceId};

use crate::capacity::Refused;
use crate::joins::Join;
use crate::state::{COUNTER_OFFER_HOLDS, Egress, EgressError, Newcomer, Reply};

/// What a viewer's resource takes by PATCH.
const CHANGES: &str = "application/sdp, application/trickle-ice-sdpfrag";
/// Methods of an endpoint, of a viewer, of its events and of its reports.
const ENDPOINT: &str = "GET, HEAD, POST, OPTIONS";
const VIEWER: &str = "GET, HEAD, PATCH, DELETE, OPTIONS";
const EVENTS: &str = "GET, HEAD, POST, OPTIONS";
const REPORTS: &str = "POST, OPTIONS";

type Shared = State<Arc<Egress>>;

/// Who may watch.
pub fn door(egress: &Egress) -> Arc<Door> {
    Arc::new(Door {
        base: egress.config.whep_path.clone(),
        protocol: "whep",
        admission: egress.admission().clone(),
        accept_patch: CHANGES,
        ice: egress.config.ice.clone(),
    })
}

/// The paths, as the router knows them: an endpoint, a viewer, a viewer's events, its reports.
pub fn paths(base: &str) -> [String; 4] {
    let [endpoint, viewer] = wish::paths(base);
    let (events, reports) = (format!("{viewer}/events"), format!("{viewer}/report"));
    [endpoint, viewer, events, reports]
}

/// The routes. They have a token of their own.
pub fn router(egress: Arc<Egress>, door: Arc<Door>) -> Router {
    let [endpoint, viewer, events, reports] = paths(&door.base);
    let of_endpoint = post(begin).get(is_there);
    let of_viewer = patch(change).delete(leave).get(is_watching);
    let of_events = get(events::follow).post(events::choose);
    let router = Router::new()
        .route(&endpoint, of_endpoint.options(async || wish::options(ENDPOINT, Some(SDP), None)))
        .route(&viewer, of_viewer.options(async || wish::options(VIEWER, None, Some(CHANGES))))
        .route(
            &reports,
            post(report::take).options(async || wish::options(REPORTS, Some(report::REPORT), None)),
        )
        .route(&events, of_events.options(async || wish::options(EVENTS, Some(events::CHOICE), None)));
    wish::protect(router, door).with_state(egress)
}

/// What an endpoint is cannot be represented, but that it is there (section 4.1 of the draft).
async fn is_there(State(egress): Shared, Path(session): Path<String>) -> Result<StatusCode, Failed> {
    egress.shown(&session)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The same of a viewer.
async fn is_watching(
    State(egress): Shared,
    Path((session, viewer)): Path<(String, String)>,
) -> Result<StatusCode, Failed> {
    egress.audience().is_seated(&session, &viewer)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn begin(
    State(egress): Shared,
    Path(session): Path<String>,
    RawQuery(query): RawQuery,
    client: Client,
    Extension(Came(came)): Extension<Came>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failed> {
    let elsewhere = async || egress.redirector().send_on(&session, query.as_deref(), &headers).await;
    if let Err(error) = egress.shown(&session) {
        let is_elsewhere = matches!(error, EgressError::UnknownSession(_));
        let other = if is_elsewhere { elsewhere().await } else { None };
        return other.ok_or_else(|| error.into());
    }
    if let Some(going) = egress.takes_nobody() {
        return Ok(elsewhere().await.unwrap_or_else(|| going.into_response()));
    }
    // Others may have the media that does not come here; if they do not, it is waited for here as well as there.
    if egress.standing().borrow().cut().is_some()
        && let Some(other) = elsewhere().await
    {
        return Ok(other);
    }
    let offer = wish::offer(&headers, &body)?;
    let refuse = async |refused: Refused| {
        let other = if refused.limit.is_of_this_node() { elsewhere().await } else { None };
        Ok(other.unwrap_or_else(|| refused.into_response()))
    };
    let place = match egress.capacity().viewer(client) {
        Ok(place) => place,
        Err(refused) => return refuse(refused).await,
    };
    if let Err(refused) = egress.capacity().turn(client, &place).await {
        return refuse(refused).await;
    }
    // While it waited, the node may have begun to give away those who are here.
    if let Some(going) = egress.takes_nobody() {
        return Ok(elsewhere().await.unwrap_or_else(|| going.into_response()));
    }
    let player = headers.get(header::USER_AGENT).and_then(|player| player.to_str().ok()).unwrap_or_default();
    let newcomer = Newcomer { player, place, join: Join::begin(came, TraceId::of(&headers)) };
    let Reply { viewer, sdp, counters } = egress.watch(&session, offer.map(str::as_bytes), newcomer).await?;
    let location = wish::location(&session, &viewer);
    let links = events::links(&egress.config.whep_path, &location);
    let mut response = wish::created(location, wish::etag(&ice_session(&viewer, 0)), CHANGES, sdp);
    for link in links.iter().filter_map(|link| HeaderValue::from_str(link).ok()) {
        response.headers_mut().append(header::LINK, link);
    }
    if counters {
        // Section 4.2.2 of the draft.
        *response.status_mut() = StatusCode::NOT_ACCEPTABLE;
        let until = httpdate::fmt_http_date(SystemTime::now() + COUNTER_OFFER_HOLDS);
        if let Ok(kind) = HeaderValue::from_str(&format!("{SDP}; valid-until=\"{until}\"")) {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
    }
    Ok(response)
}

async fn change(
    State(egress): Shared,
    Path((session, viewer)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failed> {
    let kind = wish::content_type(&headers, &[SDP, FRAGMENT])?;
    let audience = egress.audience();
    wish::if_match(&headers, &ice_session(&viewer, audience.restarts(&session, &viewer)?))?;
    if kind == SDP {
        audience.answer(&session, &viewer, &body).await?;
    } else if let Some(ours) = audience.trickle(&session, &viewer, wish::text(&body)?).await? {
        let etag = wish::etag(&ice_session(&viewer, audience.restarts(&session, &viewer)?));
        return Ok(wish::restarted(etag, ours));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn leave(
    State(egress): Shared,
    Path((session, viewer)): Path<(String, String)>,
) -> Result<StatusCode, Failed> {
    egress.audience().leave(&session, &viewer).await?;
    Ok(StatusCode::OK)
}

/// The name of a viewer's ICE session: the first has the viewer's.
fn ice_session(viewer: &str, restarts: u32) -> String {
    let viewer = viewer.get(..16).unwrap_or(viewer);
    match restarts {
        0 => viewer.to_owned(),
        _ => format!("{viewer}-{restarts}"),
    }
}
