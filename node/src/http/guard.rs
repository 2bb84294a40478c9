//! What a request has to get through before a handler sees it: rate limit, token, whole body of a sound size.
//!
//! A change that has begun is carried out to its end, whatever becomes of the peer, and is given no time limit: cut off
//! in the middle it would be half done. What a peer can draw out is sending its request, so that has to be done in time.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::Failed;
use super::body::{BODY_LIMIT, whole};
use super::limits::Limits;
use super::serve::Arrival;
use crate::secret::Secret;

/// Who may do what.
#[derive(Clone, Default)]
pub struct Access {
    /// What requests that change something must know; `None`: nothing, so that only who may reach the port protects it.
    pub token: Option<Secret>,
    /// Routes that need the token for reading as well, because they show media.
    pub private: &'static [&'static str],
    /// Routes, as they were given to the router, that ask for a token of their own, or for none.
    pub own: Vec<String>,
    /// How much may be taken, and by whom.
    pub limits: Arc<Limits>,
}

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
    if let Some(token) = &access.token
        && !access.own.iter().any(|own| own == route)
        && (changes(request.method()) || access.private.contains(&route))
        && let Err(refused) =
            check_token(request.headers(), token, "the node's token (API_TOKEN or API_TOKEN_FILE)")
    {
        tracing::warn!("{client}: {} {} without the right token", request.method(), request.uri().path());
        let mut response = refused.into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return Err(response);
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

/// Whatever is not known to only read.
fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The token of `Authorization: Bearer …` (RFC 6750 section 2.1; the scheme in any case, RFC 9110 section 11.1).
pub fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Lets in who has the token. `name`: what it is called, and the setting that it comes from. A missing and a wrong one are
/// told apart, because what to do about them differs.
pub fn check_token(headers: &HeaderMap, token: &Secret, name: &str) -> Result<(), Failed> {
    let why = match bearer(headers) {
        Some(claimed) if token.is(claimed) => return Ok(()),
        Some(_) => format!("the token in `Authorization: Bearer …` is wrong; this needs {name}"),
        None => format!("this needs the header `Authorization: Bearer TOKEN` with {name}"),
    };
    Err(Failed(StatusCode::UNAUTHORIZED, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_and_a_wrong_token_are_told_apart() {
        let token = Secret::new("hunter2");
        let said = |value: Option<&'static str>| {
            let value = value.map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value)));
            let checked = check_token(&HeaderMap::from_iter(value), &token, "the token (API_TOKEN)");
            checked.map_or_else(|Failed(status, why)| (status.as_u16(), why), |()| (200, String::new()))
        };
        assert_eq!(said(Some("Bearer hunter2")).0, 200);
        let [missing, wrong] = [None, Some("Bearer hunter3")].map(said);
        assert!(missing.0 == 401 && missing.1.starts_with("this needs the header"), "{missing:?}");
        assert!(wrong.0 == 401 && wrong.1.contains("is wrong"), "{wrong:?}");
        assert!(wrong.1.contains("(API_TOKEN)") && !wrong.1.contains("hunter"), "{wrong:?}");
    }

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
