//! WHIP (RFC 9725): HTTP around publications. POST publishes, PATCH trickles, DELETE ends.
//!
//! A publication's own address has a key in it that only its publisher was told. PATCH and DELETE at the endpoint itself
//! are about whichever publication is current, for scripts that do not read `Location`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use node::http::{Failed, bearer};

use crate::injector::{Injector, Via};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

type Answer = Result<Response, Failed>;

/// The routes as the router knows them.
pub fn routes(path: &str) -> Vec<String> {
    vec![format!("{path}/endpoint/{{sid}}"), format!("{path}/endpoint/{{sid}}/{{key}}")]
}

/// WHIP's part of the API.
pub fn router(injector: Arc<Injector>) -> Router {
    let mut router = Router::new();
    for (n, route) in routes(&injector.config().whip_path).iter().enumerate() {
        let methods = match n {
            0 => post(publish).patch(trickle).delete(unpublish).options(options),
            _ => axum::routing::patch(trickle_to).delete(unpublish_that).options(options),
        };
        router = router.route(route, methods);
    }
    router.with_state(injector)
}

/// Lets pages of any origin publish: what protects a session is its token.
pub async fn cors(State(path): State<Arc<str>>, request: Request, next: Next) -> Response {
    let is_whip = request.uri().path().starts_with(&*path);
    let preflight = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    if is_whip {
        let mut set = |name: header::HeaderName, value| {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        };
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "Location, ETag, Link, Accept-Post, Accept-Patch");
        if preflight {
            set(header::ACCESS_CONTROL_ALLOW_METHODS, "POST, PATCH, DELETE, OPTIONS");
            set(header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, If-Match");
            set(header::ACCESS_CONTROL_MAX_AGE, "86400");
        }
    }
    response
}

async fn publish(
    State(injector): State<Arc<Injector>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Answer {
    admit(&injector, &headers)?;
    // A session that is not there is the first thing to say.
    injector.session(&id)?;
    content(&headers, SDP)?;
    if !accepts_sdp(&headers) {
        let why = format!("the answer is {SDP}; Accept must allow it");
        return Err(Failed(StatusCode::NOT_ACCEPTABLE, why));
    }
    let published = injector.publish(&id, body, Via::Whip).await?;
    let path = &injector.config().whip_path;
    let fields = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, format!("{path}/endpoint/{id}/{}", published.key)),
        (header::ETAG, format!("\"{}\"", published.key)),
        (header::HeaderName::from_static("accept-patch"), FRAGMENT.to_owned()),
    ];
    Ok((StatusCode::CREATED, fields, published.answer).into_response())
}

async fn trickle(
    State(injector): State<Arc<Injector>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Answer {
    patch(&injector, &id, None, &headers, &body).await
}

async fn trickle_to(
    State(injector): State<Arc<Injector>>,
    Path((id, key)): Path<(String, String)>,
    headers: HeaderMap,
    body: String,
) -> Answer {
    patch(&injector, &id, Some(&key), &headers, &body).await
}

async fn patch(injector: &Injector, id: &str, key: Option<&str>, headers: &HeaderMap, body: &str) -> Answer {
    admit(injector, headers)?;
    content(headers, FRAGMENT)?;
    let etag = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    injector.trickle(id, key, etag, body).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn unpublish(
    State(injector): State<Arc<Injector>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    admit(&injector, &headers)?;
    injector.unpublish(&id, None).await?;
    Ok(StatusCode::OK.into_response())
}

async fn unpublish_that(
    State(injector): State<Arc<Injector>>,
    Path((id, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    admit(&injector, &headers)?;
    injector.unpublish(&id, Some(&key)).await?;
    Ok(StatusCode::OK.into_response())
}

async fn options() -> Response {
    let post = (header::HeaderName::from_static("accept-post"), SDP);
    let patch = (header::HeaderName::from_static("accept-patch"), FRAGMENT);
    (StatusCode::NO_CONTENT, [post, patch, (header::ALLOW, "POST, PATCH, DELETE, OPTIONS")]).into_response()
}

fn admit(injector: &Injector, headers: &HeaderMap) -> Result<(), Failed> {
    let Some(token) = &injector.config().whip_token else { return Ok(()) };
    if bearer(headers).is_some_and(|claimed| token.is(claimed)) {
        return Ok(());
    }
    let why = "publishing needs the header `Authorization: Bearer TOKEN` with the node's WHIP_TOKEN";
    Err(Failed(StatusCode::UNAUTHORIZED, why.to_owned()))
}

fn content(headers: &HeaderMap, wanted: &str) -> Result<(), Failed> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bare = given.split(';').next().unwrap_or_default().trim();
    if bare.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let given = if given.is_empty() { "nothing" } else { given };
    let why = format!("Content-Type must be {wanted}, and is {}", given.escape_debug());
    Err(Failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
}

/// RFC 9110 section 12.5.1, as far as it can concern one type.
fn accepts_sdp(headers: &HeaderMap) -> bool {
    let mut ranges =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if ranges.peek().is_none() {
        return true;
    }
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let refused =
            parts.any(|part| part.replace(' ', "").strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        !refused && [SDP, "application/*", "*/*"].contains(&name.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_read_as_http_says() {
        let table = [
            ("application/sdp", true),
            ("text/html, */*;q=0.8", true),
            ("application/*", true),
            ("application/json", false),
            ("application/sdp;q=0", false),
            ("", false),
        ];
        for (value, wanted) in table {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))]);
            assert_eq!(accepts_sdp(&headers), wanted, "{value}");
        }
        assert!(accepts_sdp(&HeaderMap::new()));
    }

    #[test]
    fn the_content_type_may_have_parameters() {
        let with = |value| HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]);
        assert!(content(&with("Application/SDP; charset=utf-8"), SDP).is_ok());
        for wrong in [with("application/json"), with("application/sdpx"), HeaderMap::new()] {
            assert_eq!(content(&wrong, SDP).unwrap_err().0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
    }
}
