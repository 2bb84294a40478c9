//! What a request has to get through before a handler sees it: rate limit, token, whole body of a sound size.
//!
//! A change that has begun is carried out to its end, whatever becomes of the peer, and is given no time limit: cut off
//! in the middle it would be half done. What a peer can draw out is sending its request, so that has to be done in time.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::body::{BODY_LIMIT, whole};
use super::serve::Arrival;
use super::{Client, Failed, Stranger};
use crate::auth::{Access, Asked, changes};
use crate::watch::readable;

/// Puts the gate in front of all routes, and JSON answers behind those that are not there.
pub fn guard(router: Router, access: Access) -> Router {
    let access = Arc::new(access);
    router
        .fallback(async || Failed(StatusCode::NOT_FOUND, "no such path; see docs/operations.md".to_owned()))
        .method_not_allowed_fallback(async || {
            Failed(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method".to_owned())
        })
        .layer(from_fn_with_state(access, admit))
        .layer(from_fn(in_json))
        .layer(from_fn(readable))
}

/// Errors are JSON, whoever makes them: what an extractor refuses (a path that is no UTF-8, a query) comes from axum as
/// plain text.
async fn in_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_error = status.is_client_error() || status.is_server_error();
    // What says what it is was made by a handler: an error in JSON, or WHEP's counter-offer.
    if !is_error || kind.is_some_and(|kind| !kind.starts_with("text/plain")) {
        return response;
    }
    let (head, body) = response.into_parts();
    let text = axum::body::to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let why = match String::from_utf8_lossy(&text).trim() {
        "" => status.canonical_reason().unwrap_or("this cannot be done").to_owned(),
        text => text.to_owned(),
    };
    let mut answer = Failed(status, why).into_response();
    for (name, value) in head.headers {
        // Headers of a name come in a row, all but the first without it: those of several values are none of an error's.
        let Some(name) = name else { continue };
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

async fn admit(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Response> {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.as_deref().unwrap_or_default();
    let client = access.limits.admit(&mut request, route).map_err(IntoResponse::into_response)?;
    let asked = Asked { route, method: request.method(), uri: request.uri(), headers: request.headers() };
    if let Err(refused) = access.check(asked) {
        return Err(refuse(refused, client, &request));
    }
    if access.is_stranger(request.headers()) {
        request.extensions_mut().insert(Stranger);
    }
    let request = whole(&access.limits, client, request).await?;
    if let Some(arrival) = request.extensions().get::<Arrival>() {
        arrival.is_whole();
    }
    if !changes(request.method()) {
        return Ok(next.run(request).await);
    }
    // A task of its own: hyper drops a handler whose peer hangs up, wherever it is.
    tokio::spawn(next.run(request)).await.map_err(|error| {
        tracing::error!("a request failed: {error}");
        let why = "the node failed to do this; its log says more";
        Failed(StatusCode::INTERNAL_SERVER_ERROR, why.to_owned()).into_response()
    })
}

/// Says why not. That somebody wanted to change something is for the log.
fn refuse(refused: Failed, client: Client, request: &Request) -> Response {
    let Failed(status, why) = &refused;
    let status = *status;
    let (method, path) = (request.method(), request.uri().path());
    match changes(method) && status != StatusCode::NOT_FOUND {
        true => tracing::warn!("{client}: {method} {path}: {why}"),
        false => tracing::debug!("{client}: {method} {path}: {why}"),
    }
    let mut response = refused.into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The token of `Authorization: Bearer …` (RFC 6750 section 2.1; the scheme in any case, RFC 9110 section 11.1).
pub fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bearer_token_is_what_follows_the_scheme() {
        let table: [(&str, Option<&str>); 7] = [
            ("Bearer hunter2", Some("hunter2")),
            ("bearer  hunter2 ", Some("hunter2")),
            ("Bearer ", Some("")),
            ("Bearer", None),
            ("Basic aHVudGVyMg==", None),
            ("hunter2", None),
            ("Bearerhunter2", None),
        ];
        for (value, wanted) in table {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(bearer(&headers), wanted.map(str::as_bytes), "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
