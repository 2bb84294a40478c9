//! The entity tag of a resource: it names its ICE session (RFC 9725 section 4.3.1).

use axum::http::{HeaderMap, StatusCode, header};

use crate::http::Failed;

/// The tag that a resource has.
pub fn etag(name: &str) -> String {
    format!("\"{name}\"")
}

/// Whether a request is about this ICE session: 412 if it names others. One without If-Match is about whichever there is.
///
/// Weak tags count as well, although RFC 9110 section 13.1.1 wants them compared strongly: a tag of ours names an ICE
/// session and not the bytes of an answer, and a proxy that compresses turns it into a weak one. So does `"*"`, which RFC
/// 9725 writes where RFC 9110 has `*`, and a tag without its quotes.
pub fn if_match(headers: &HeaderMap, name: &str) -> Result<(), Failed> {
    let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let mut tags = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let ours = tags.any(|tag| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let bare = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
        bare == "*" || bare == name
    });
    if ours {
        return Ok(());
    }
    let why = "If-Match names another ICE session than this resource has; begin again with a POST";
    Err(Failed(StatusCode::PRECONDITION_FAILED, why.to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn any_form_of_the_tag_is_this_session() {
        let table: [(&[&'static str], bool); 13] = [
            (&[], true),
            (&["*"], true),
            (&["\"*\""], true),
            (&["\"abc\""], true),
            (&["W/\"abc\""], true),
            (&["abc"], true),
            (&["\"x\", \"abc\""], true),
            (&["\"x\"", "W/\"abc\""], true),
            (&["\"ab\""], false),
            (&["\"x\", W/\"y\""], false),
            (&["\"\""], false),
            (&[""], false),
            (&["\"abc"], false),
        ];
        for (values, wanted) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_MATCH, HeaderValue::from_static(value));
            }
            assert_eq!(if_match(&headers, "abc").is_ok(), wanted, "{values:?}");
        }
        assert_eq!(etag("abc"), "\"abc\"");
    }
}
