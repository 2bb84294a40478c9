//! WHEP (draft-ietf-wish-whep): for players that send an offer, and for those that expect one.
//!
//! `POST` with an offer is answered with the answer. An empty `POST` is answered with an offer, and the player `PATCH`es its
//! answer. The resource that `Location` names takes candidates (`PATCH`) and ends with `DELETE`.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post};
use node::http::{Failed, bearer};

use crate::state::Egress;

/// Session descriptions.
const SDP: &str = "application/sdp";
/// Trickled candidates (RFC 8840).
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// Methods of an endpoint and of a viewer.
const ENDPOINT: &str = "OPTIONS, POST";
const VIEWER: &str = "OPTIONS, PATCH, DELETE";

type Shared = State<Arc<Egress>>;

/// The paths of the routes, as the router knows them.
pub fn paths(base: &str) -> [String; 2] {
    [format!("{base}/endpoint/{{session}}"), format!("{base}/endpoint/{{session}}/{{viewer}}")]
}

/// The routes. They have a token of their own.
pub fn router(egress: Arc<Egress>) -> Router {
    let [endpoint, viewer] = paths(&egress.config.whep_path);
    Router::new()
        .route(&endpoint, post(begin).options(async || allowed(ENDPOINT, Some(SDP), None)))
        .route(&viewer, patch(change).delete(leave).options(async || allowed(VIEWER, None, Some(FRAGMENT))))
        .layer(from_fn_with_state(egress.clone(), admit))
        .layer(from_fn(for_all_pages))
        .with_state(egress)
}

async fn begin(
    State(egress): Shared,
    Path(session): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failed> {
    egress.mountpoint(&session)?;
    if !accepts_sdp(&headers) {
        return Err(Failed(
            StatusCode::NOT_ACCEPTABLE,
            format!("the answer is {SDP}, which Accept does not allow"),
        ));
    }
    let offer = (!body.is_empty()).then_some(&body[..]);
    if offer.is_some() {
        expect_type(&headers, &[SDP])?;
    }
    let offer = egress.watch(&session, offer).await?;
    let location = format!("{}/endpoint/{}/{}", egress.config.whep_path, encoded(&session), offer.viewer);
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, location),
        (header::ETAG, etag(&offer.viewer)),
        (HeaderName::from_static("accept-patch"), format!("{SDP}, {FRAGMENT}")),
    ];
    Ok((StatusCode::CREATED, headers, offer.sdp).into_response())
}

async fn change(
    State(egress): Shared,
    Path((session, viewer)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Failed> {
    let kind = expect_type(&headers, &[SDP, FRAGMENT])?;
    if let Some(wanted) = headers.get(header::IF_MATCH)
        && wanted != "*"
        && wanted.as_bytes() != etag(&viewer).as_bytes()
    {
        return Err(Failed(StatusCode::PRECONDITION_FAILED, "If-Match names another ICE session".to_owned()));
    }
    if kind == SDP {
        egress.audience().answer(&session, &viewer, &body).await?;
    } else {
        let text = std::str::from_utf8(&body)
            .map_err(|_| Failed(StatusCode::BAD_REQUEST, "the fragment is no text".to_owned()))?;
        egress.audience().trickle(&session, &viewer, text).await?;
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

/// Viewers need the viewers' token, if there is one.
async fn admit(State(egress): Shared, request: Request, next: Next) -> Response {
    let Some(token) = &egress.config.whep_token else { return next.run(request).await };
    let claimed = bearer(request.headers());
    if request.method() == axum::http::Method::OPTIONS || claimed.is_some_and(|claimed| token.is(claimed)) {
        return next.run(request).await;
    }
    let why = "this needs the header `Authorization: Bearer TOKEN` with the viewers' token (WHEP_TOKEN)";
    let mut response = Failed(StatusCode::UNAUTHORIZED, why.to_owned()).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Players are on pages of any origin; what they may do is said by the token.
async fn for_all_pages(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = HeaderValue::from_static("Location, ETag, Link, Accept-Patch");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

fn allowed(
    methods: &'static str,
    accept_post: Option<&'static str>,
    accept_patch: Option<&'static str>,
) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    let wanted = HeaderValue::from_static("Authorization, Content-Type, If-Match");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    for (name, value) in [("accept-post", accept_post), ("accept-patch", accept_patch)] {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
    }
    response
}

/// The content type, if it is one of these.
fn expect_type(headers: &HeaderMap, wanted: &[&'static str]) -> Result<&'static str, Failed> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bare = found.split(';').next().unwrap_or_default().trim();
    let found = wanted.iter().find(|wanted| bare.eq_ignore_ascii_case(wanted));
    found.copied().ok_or_else(|| {
        let why = format!("Content-Type must be {}", wanted.join(" or "));
        Failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
    })
}

fn accepts_sdp(headers: &HeaderMap) -> bool {
    let mut accepted =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    accepted.peek().is_none()
        || accepted.flat_map(|value| value.split(',')).any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            ["*/*", "application/*", SDP].iter().any(|ours| range.eq_ignore_ascii_case(ours))
        })
}

/// A viewer has one ICE session as long as it lives.
fn etag(viewer: &str) -> String {
    format!("\"{}\"", viewer.get(..16).unwrap_or(viewer))
}

/// A name as it may stand in a path.
fn encoded(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_what_counts() {
        let of = |name: &str, value: &str| {
            HeaderMap::from_iter([(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )])
        };
        for (value, wanted) in [
            ("application/sdp", true),
            ("Application/SDP; charset=utf-8", true),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(expect_type(&of("content-type", value), &[SDP]).is_ok(), wanted, "{value}");
        }
        for (value, wanted) in [
            ("*/*", true),
            ("text/html, application/sdp;q=0.9", true),
            ("application/*", true),
            ("text/html", false),
        ] {
            assert_eq!(accepts_sdp(&of("accept", value)), wanted, "{value}");
        }
        assert!(accepts_sdp(&HeaderMap::new()));
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(encoded("a b/ü-1"), "a%20b%2F%C3%BC-1");
    }
}
