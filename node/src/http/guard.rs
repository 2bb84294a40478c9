//! What a request has to get through before a handler sees it: rate limit, token, whole body of a sound size.
//!
//! A change that has begun is carried out to its end, whatever becomes of the peer, and is given no time limit: cut off
//! in the middle it would be half done. What a peer can draw out is sending its request, so that has to be done in time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;

use super::limit::Limits;
use super::{Failed, Stranger};
use crate::auth::{Access, Asked, changes};

/// Largest request body; whatever a node is sent fits many times over.
const BODY_LIMIT: usize = 64 * 1024;
/// So much of a body that is too large is taken all the same and thrown away, for so long: most clients read no answer before
/// they have sent all, and would see a broken connection.
const SWALLOWED: usize = 16 * 1024 * 1024;
const SWALLOWING: Duration = Duration::from_secs(2);
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// What is asked for all the time by those who watch the node, and must be answered when somebody else asks too much.
const WATCHED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

struct Gate {
    access: Access,
    limits: Limits,
}

/// Puts the gate in front of all routes, and JSON answers behind those that are not there.
pub fn guard(router: Router, access: Access) -> Router {
    let gate = Arc::new(Gate { limits: Limits::new(access.rate), access });
    router
        .fallback(async || Failed(StatusCode::NOT_FOUND, "no such path; see docs/operations.md".to_owned()))
        .method_not_allowed_fallback(async || {
            Failed(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method".to_owned())
        })
        .layer(from_fn_with_state(gate, admit))
        .layer(from_fn(in_json))
}

/// Errors are JSON, whoever makes them: what an extractor refuses (a path that is no UTF-8, a query) comes from axum as
/// plain text.
async fn in_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || kind.is_some_and(|kind| kind.starts_with("application/json")) {
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
    State(gate): State<Arc<Gate>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Response> {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.as_deref().unwrap_or_default();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    if !WATCHED.contains(&route) {
        gate.limits.check(peer).map_err(too_many)?;
    }
    let asked = Asked { route, method: request.method(), uri: request.uri(), headers: request.headers() };
    if let Err(refused) = gate.access.check(asked) {
        return Err(refuse(refused, peer, &request));
    }
    if gate.access.is_stranger(request.headers()) {
        request.extensions_mut().insert(Stranger);
    }
    let request = whole(request).await.map_err(IntoResponse::into_response)?;
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
fn refuse(refused: Failed, peer: Option<IpAddr>, request: &Request) -> Response {
    let Failed(status, why) = &refused;
    let (status, peer) = (*status, peer.map_or_else(|| "somebody".to_owned(), |peer| peer.to_string()));
    let (method, path) = (request.method(), request.uri().path());
    match changes(method) && status != StatusCode::NOT_FOUND {
        true => tracing::warn!("{peer}: {method} {path}: {why}"),
        false => tracing::debug!("{peer}: {method} {path}: {why}"),
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

fn too_many(wait: Duration) -> Response {
    // Whole seconds, and never "at once".
    let seconds = wait.as_secs() + 1;
    let why = format!("too many requests from this address; try again in {seconds} s");
    let mut response = Failed(StatusCode::TOO_MANY_REQUESTS, why).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The request with all of its body, so that no handler waits for a peer.
async fn whole(request: Request) -> Result<Request, Failed> {
    let (parts, mut body) = request.into_parts();
    let announced = body.size_hint().lower() > BODY_LIMIT as u64;
    let mut whole = Vec::new();
    if !announced {
        let reading = read(&mut body, &mut whole);
        tokio::time::timeout(BODY_TIME, reading).await.map_err(|_| {
            let why = format!("the body did not come within {} s", BODY_TIME.as_secs());
            Failed(StatusCode::REQUEST_TIMEOUT, why)
        })??;
    }
    if announced || whole.len() > BODY_LIMIT {
        // Who asks first whether to send it need not.
        if !parts.headers.contains_key(header::EXPECT) {
            let _ = tokio::time::timeout(SWALLOWING, swallow(body)).await;
        }
        let why = format!("a body may have at most {BODY_LIMIT} bytes");
        return Err(Failed(StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    Ok(Request::from_parts(parts, Body::from(whole)))
}

/// Reads to the end, or until it is too much.
async fn read(body: &mut Body, whole: &mut Vec<u8>) -> Result<(), Failed> {
    while whole.len() <= BODY_LIMIT
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|_| Failed(StatusCode::BAD_REQUEST, "the body broke off".to_owned()))?;
        if let Ok(data) = frame.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    Ok(())
}

async fn swallow(mut body: Body) {
    let mut swallowed = 0;
    while swallowed < SWALLOWED
        && let Some(Ok(frame)) = body.frame().await
    {
        swallowed += frame.into_data().map_or(0, |data| data.len());
    }
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
