//! The types that a client sends and accepts.

use axum::http::{HeaderMap, StatusCode, header};

use super::SDP;
use crate::http::Failed;

/// The content type, if it is one of these; parameters do not matter. 415 otherwise, to which [`super::services`] adds
/// what is taken.
pub fn content_type(headers: &HeaderMap, wanted: &[&'static str]) -> Result<&'static str, Failed> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bare = given.split(';').next().unwrap_or_default().trim();
    let found = wanted.iter().find(|wanted| bare.eq_ignore_ascii_case(wanted));
    found.copied().ok_or_else(|| {
        let given = if given.is_empty() { "nothing".to_owned() } else { given.escape_debug().to_string() };
        let why = format!("Content-Type must be {}, and is {given}", wanted.join(" or "));
        Failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
    })
}

/// The session description in a POST; `None` if there is nothing in it, which in WHEP asks for an offer. The answer is
/// one as well, so the client must accept that (406).
pub fn offer<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Option<&'a str>, Failed> {
    if !body.is_empty() {
        content_type(headers, &[SDP])?;
    }
    if !accepts_sdp(headers) {
        let why = format!("the answer is {SDP}, which Accept does not allow");
        return Err(Failed(StatusCode::NOT_ACCEPTABLE, why));
    }
    let text = text(body)?;
    Ok((!text.is_empty()).then_some(text))
}

/// A body as text: 400 if it is none.
pub fn text(body: &[u8]) -> Result<&str, Failed> {
    std::str::from_utf8(body)
        .map_err(|_| Failed(StatusCode::BAD_REQUEST, "this is no SDP: it is not UTF-8 text".to_owned()))
}

/// RFC 9110 section 12.5.1: of the ranges that a type is in, the most precise decides, and q=0 refuses.
fn accepts_sdp(headers: &HeaderMap) -> bool {
    let mut values =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if values.peek().is_none() {
        return true;
    }
    let ranges = values.flat_map(|value| value.split(',')).filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let precision =
            ["*/*", "application/*", SDP].iter().position(|our| name.eq_ignore_ascii_case(our))?;
        let refused = parts
            .filter_map(|part| part.split_once('='))
            .any(|(name, value)| name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0));
        Some((precision, !refused))
    });
    ranges.max().is_some_and(|(_, accepted)| accepted)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(name: header::HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn accept_is_read_as_http_says() {
        let table: [(&[&'static str], bool); 14] = [
            (&[], true),
            (&["application/sdp"], true),
            (&["Application/SDP"], true),
            (&["text/html, */*;q=0.8"], true),
            (&["text/html, application/sdp;q=0.9"], true),
            (&["text/html", "application/sdp"], true),
            (&["application/*"], true),
            (&["application/json"], false),
            (&["text/html"], false),
            (&[""], false),
            (&["application/sdp;q=0"], false),
            (&["application/sdp; Q = 0.000, */*"], false),
            (&["*/*;q=0, application/sdp;q=0.001"], true),
            (&["application/*;q=0, */*"], false),
        ];
        for (values, wanted) in table {
            assert_eq!(accepts_sdp(&with(header::ACCEPT, values)), wanted, "{values:?}");
        }
    }

    #[test]
    fn the_content_type_may_have_parameters() {
        let given = |value| with(header::CONTENT_TYPE, &[value]);
        for good in ["application/sdp", "Application/SDP; charset=utf-8", "application/sdp ;x"] {
            assert_eq!(content_type(&given(good), &[SDP]), Ok(SDP), "{good}");
        }
        for wrong in [given("application/json"), given("application/sdpx"), given(""), HeaderMap::new()] {
            let Failed(status, why) = content_type(&wrong, &[SDP, super::super::FRAGMENT]).unwrap_err();
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
            assert!(why.contains("application/sdp or application/trickle-ice-sdpfrag"), "{why}");
        }
    }

    #[test]
    fn an_empty_post_is_no_offer_and_needs_no_type() {
        assert_eq!(offer(&HeaderMap::new(), b""), Ok(None));
        assert_eq!(offer(&with(header::CONTENT_TYPE, &[SDP]), b"v=0"), Ok(Some("v=0")));
        let Failed(status, _) = offer(&with(header::CONTENT_TYPE, &[SDP]), b"v=\xff").unwrap_err();
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}
