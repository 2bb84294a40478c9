//! What WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) have in common: a session description is POSTed to an endpoint,
//! the answer names a resource, and that takes candidates (PATCH) and ends with DELETE.
//!
//! - [`protect`], [`services`]: who is admitted, and what every answer says to pages of other origins;
//! - [`content_type`], [`offer`]: the types that are sent and accepted; [`if_match`]: which ICE session a request is about;
//! - [`IceSession`]: trickled candidates (RFC 8840), counted, and what begins another ICE session.
//!
//! What becomes of an offer is the node's business.

mod door;
mod etag;
mod fragment;
mod negotiation;
mod servers;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

pub use door::{Came, Door, protect, services};
pub use etag::{etag, if_match};
pub use fragment::{Candidate, Fragment, IceSession, MOST_CANDIDATES, Restart, Trickle};
pub use negotiation::{content_type, offer, text};

/// Session descriptions.
pub const SDP: &str = "application/sdp";
/// Trickled candidates (RFC 8840).
pub const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// What a resource takes by PATCH: candidates, in WHEP the answer to an offer as well.
pub const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// What an endpoint takes by POST.
pub const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// The routes below a base path, as the router knows them: the endpoint, and the resource that `Location` names.
pub fn paths(base: &str) -> [String; 2] {
    [format!("{base}/endpoint/{{session}}"), format!("{base}/endpoint/{{session}}/{{resource}}")]
}

/// The path of a resource, for `Location`: relative to its endpoint (RFC 9110 section 10.2.2), because what a proxy has in front
/// of our paths is known to the client only.
pub fn location(session: &str, resource: &str) -> String {
    format!("{}/{resource}", encoded(session))
}

/// A name as part of a path or of a query.
pub fn encoded(name: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    /// All but what RFC 3986 section 2.3 calls unreserved.
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(name, RESERVED).to_string()
}

/// The answer to an offer that was taken: 201, with the resource at `location` and its ICE session's `etag`.
pub fn created(
    location: String,
    etag: String,
    accept_patch: &'static str,
    sdp: impl IntoResponse,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, location),
        (header::ETAG, etag),
        (ACCEPT_PATCH, accept_patch.to_owned()),
    ];
    (StatusCode::CREATED, headers, sdp).into_response()
}

/// The answer to a restart of ICE: our side of the new session, which has this `etag` (RFC 9725 section 4.3.3).
pub fn restarted(etag: String, fragment: String) -> Response {
    let headers = [(header::CONTENT_TYPE, FRAGMENT.to_owned()), (header::ETAG, etag)];
    (StatusCode::OK, headers, fragment).into_response()
}

/// The answer to OPTIONS, and to a page's preflight: the methods of a path, and the types that it takes by them.
pub fn options(
    methods: &'static str,
    accept_post: Option<&'static str>,
    accept_patch: Option<&'static str>,
) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let mut set = |name, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
    set(header::ALLOW, methods);
    set(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    // ETag is an answer's, and yet sent with candidates by clients that are in use (whip-web-client 1.1).
    set(header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, If-Match, ETag, traceparent");
    set(header::ACCESS_CONTROL_MAX_AGE, "86400");
    for (name, value) in [(ACCEPT_POST, accept_post), (ACCEPT_PATCH, accept_patch)] {
        if let Some(value) = value {
            set(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_encoded_in_locations() {
        assert_eq!(location("a b/ü-1", "k"), "a%20b%2F%C3%BC-1/k");
        // A colon in it would make it a URL of that scheme (RFC 3986 section 4.2).
        assert_eq!(location("data:s", "k"), "data%3As/k");
    }
}
