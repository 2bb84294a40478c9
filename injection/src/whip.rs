//! WHIP (RFC 9725): HTTP around publications. POST publishes, PATCH trickles, DELETE ends. What WHEP does in the same way
//! is [`node::http::wish`]'s. docs/whip.md has every request with its answer.
//!
//! A publication's own address has a key in it that only its publisher was told: nobody else can trickle to it or end it.
//! Operators end one at `/session/{sid}/publisher`, with the API's token.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post};
use node::http::Failed;
use node::http::wish::{self, Door, FRAGMENT, SDP};

use crate::injector::{Injector, Via};

/// Methods of an endpoint and of a publication.
const ENDPOINT: &str = "POST, OPTIONS";
const PUBLICATION: &str = "PATCH, DELETE, OPTIONS";

type Shared = State<Arc<Injector>>;
type Answer = Result<Response, Failed>;

/// Who may publish.
pub fn door(injector: &Injector) -> Arc<Door> {
    Arc::new(Door {
        base: injector.config().whip_path.clone(),
        protocol: "whip",
        admission: injector.admission().clone(),
        accept_patch: FRAGMENT,
        ice: injector.config().ice.clone(),
    })
}

/// WHIP's part of the API.
pub fn router(injector: Arc<Injector>, door: Arc<Door>) -> Router {
    let [endpoint, publication] = wish::paths(&door.base);
    let of_publication = patch(trickle).delete(unpublish);
    let router = Router::new()
        .route(&endpoint, post(publish).options(async || wish::options(ENDPOINT, Some(SDP), None)))
        .route(
            &publication,
            of_publication.options(async || wish::options(PUBLICATION, None, Some(FRAGMENT))),
        );
    wish::protect(router, door).with_state(injector)
}

async fn publish(State(injector): Shared, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Answer {
    // A session that is not there is the first thing to say.
    injector.session(&id)?;
    let Some(offer) = wish::offer(&headers, &body)? else {
        return Err(Failed(StatusCode::BAD_REQUEST, "there is no SDP offer in this request".to_owned()));
    };
    let published = injector.publish(&id, offer.to_owned(), Via::Whip, false).await?;
    let location = wish::location(&id, &published.key);
    Ok(wish::created(location, wish::etag(&published.key), FRAGMENT, published.answer))
}

async fn trickle(
    State(injector): Shared,
    Path((id, key)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    wish::content_type(&headers, &[FRAGMENT])?;
    let live = injector.entry(&id)?;
    live.is_current(&key)?;
    wish::if_match(&headers, &key)?;
    live.trickle(&key, wish::text(&body)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn unpublish(State(injector): Shared, Path((id, key)): Path<(String, String)>) -> Answer {
    injector.entry(&id)?.unpublish(Some(&key)).await?;
    Ok(StatusCode::OK.into_response())
}
