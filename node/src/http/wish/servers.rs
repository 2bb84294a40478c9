//! Whom an answer tells the STUN and TURN servers (RFC 9725 section 4.6; draft-ietf-wish-whep has the same).

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;

use crate::ice::IceServers;

/// Puts a `Link` header for each server into an answer that is to have them: one that names a resource, which was asked for
/// by POST, and that to an OPTIONS request which is no preflight, for clients that need them before they make their offer.
///
/// One header for each, and not all in one: there are clients that read one link a header. `admitted`: knows what is to be
/// known here; nobody else gets credentials. `session`: what a TURN server's log is to call the client.
pub(super) fn tell(
    servers: &IceServers,
    asked: Asked,
    session: &str,
    admitted: bool,
    response: &mut Response,
) {
    let is_answer = match asked {
        // A redirection names no resource of ours.
        Asked::Resource => {
            response.headers().contains_key(header::LOCATION) && !response.status().is_redirection()
        }
        Asked::Options => response.status().is_success(),
        Asked::Anything => false,
    };
    if !is_answer {
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for link in servers.links(now, session, admitted) {
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().append(header::LINK, link);
        }
    }
}

/// What a request is about, as far as servers are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A resource: a publication, a viewer.
    Resource,
    /// What a path takes. A page's preflight is not this: no script sees its answer, and credentials would be made for nobody.
    Options,
    /// Anything else.
    Anything,
}

impl Asked {
    /// Of a request.
    pub fn of(method: &Method, headers: &HeaderMap) -> Asked {
        let is_preflight = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        match *method {
            Method::POST => Asked::Resource,
            Method::OPTIONS if !is_preflight => Asked::Options,
            _ => Asked::Anything,
        }
    }
}

/// The session in a path: what comes after `endpoint`, as it stands there. It goes into a header between quotation marks.
pub(super) fn session_in<'a>(base: &str, path: &'a str) -> &'a str {
    let rest = path.strip_prefix(base).and_then(|rest| rest.strip_prefix("/endpoint/")).unwrap_or_default();
    let session = rest.split('/').next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    if session.bytes().all(plain) && session.len() <= 64 { session } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preflight_is_told_nothing() {
        let preflight =
            HeaderMap::from_iter([(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"))]);
        assert_eq!(Asked::of(&Method::OPTIONS, &HeaderMap::new()), Asked::Options);
        assert_eq!(Asked::of(&Method::OPTIONS, &preflight), Asked::Anything);
        assert_eq!(Asked::of(&Method::POST, &HeaderMap::new()), Asked::Resource);
        assert_eq!(Asked::of(&Method::PATCH, &HeaderMap::new()), Asked::Anything);
    }

    #[test]
    fn the_session_is_what_the_path_says_if_a_header_can_hold_it() {
        let table = [
            ("/whip/endpoint/show", "show"),
            ("/whip/endpoint/show/0123", "show"),
            ("/whip/endpoint/a%20b", "a%20b"),
            ("/whip/endpoint/a\"b", ""),
            ("/whip/endpoint/", ""),
            ("/other/show", ""),
        ];
        for (path, wanted) in table {
            assert_eq!(session_in("/whip", path), wanted, "{path}");
        }
    }
}
