//! Who asks, by what it says of itself: it is to go where it was, and others elsewhere. Pure.
//!
//! A program says so in the query: `viewer=KEY` (any text of its own), `zone=NAME`, `not=NODE`. A browser has a cookie, which the
//! first redirection gives it. Whoever has neither is somebody else each time: an address would not do, because a thousand come by one.

use axum::http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

use crate::directory::choice::{Wish, key};
use crate::http::wish::encoded;

/// The cookie: `KEY.NODE`, a number of the viewer's own, hexadecimal, and where it was sent last.
const COOKIE: &str = "media-tree-viewer";
/// Most of a text that is looked at.
const LONGEST: usize = 128;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    key: u64,
    zone: String,
    at: Option<String>,
    not: Option<String>,
    /// It has no name of its own: a cookie is worth while.
    is_anonymous: bool,
}

impl Viewer {
    /// Who sends this.
    pub fn of(query: Option<&str>, headers: &HeaderMap) -> Viewer {
        let query = query.unwrap_or_default();
        let zone = parameter(query, "zone").unwrap_or_default();
        let not = parameter(query, "not");
        if let Some(name) = parameter(query, "viewer") {
            return Viewer { key: key(name.as_bytes()), zone, not, ..Viewer::default() };
        }
        let (key, at) = remembered(headers).unwrap_or_else(|| (rand::random(), None));
        Viewer { key, zone, at, not, is_anonymous: true }
    }

    /// What it wishes.
    pub fn wish(&self) -> Wish<'_> {
        Wish { zone: &self.zone, viewer: self.key, stay: self.at.as_deref(), not: self.not.as_deref() }
    }

    /// The cookie by which it is known next time, having been sent there. Without a path it is for all that is beside the path that was
    /// asked for, also behind a proxy that has our paths below one of its own (RFC 6265 section 5.1.4).
    pub fn cookie(&self, node: &str) -> Option<String> {
        let value = format!("{COOKIE}={:016x}.{}; HttpOnly; SameSite=Lax", self.key, encoded(node));
        self.is_anonymous.then_some(value)
    }
}

fn remembered(headers: &HeaderMap) -> Option<(u64, Option<String>)> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    let (key, node) = value.split_once('.')?;
    let key = u64::from_str_radix(key, 16).ok()?;
    Some((key, decoded(node)))
}

/// What a parameter says, if it says anything.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    decoded(pairs.find(|(found, _)| *found == name)?.1)
}

fn decoded(text: &str) -> Option<String> {
    let short = !text.is_empty() && text.len() <= LONGEST;
    let text = short.then(|| percent_decode_str(text).decode_utf8().ok()).flatten()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookie).unwrap())])
    }

    #[test]
    fn whoever_has_a_cookie_is_known_again() {
        let first = Viewer::of(None, &HeaderMap::new());
        let cookie = first.cookie("e 1;").unwrap();
        assert!(cookie.ends_with(".e%201%3B; HttpOnly; SameSite=Lax"), "{cookie}");
        let value = cookie.split(';').next().unwrap();
        let again = Viewer::of(None, &with(&format!("other=1; {value}; more=2")));
        assert_eq!(again.wish(), Wish { stay: Some("e 1;"), ..first.wish() });
        assert_ne!(first.key, Viewer::of(None, &HeaderMap::new()).key, "another is another");
    }

    #[test]
    fn a_name_in_the_query_is_the_same_at_every_node() {
        let viewer = |query| Viewer::of(Some(query), &HeaderMap::new());
        let one = viewer("viewer=a%20b&zone=eu&not=egress-1");
        assert_eq!(one, viewer("not=egress-1&zone=eu&viewer=a%20b"));
        let wanted = Wish { zone: "eu", viewer: key(b"a b"), stay: None, not: Some("egress-1") };
        assert_eq!(one.wish(), wanted);
        assert_eq!(one.cookie("egress-2"), None);
    }

    #[test]
    fn nonsense_is_nobodys_name() {
        for cookie in ["media-tree-viewer=", "media-tree-viewer=xyz.e", "media-tree-viewer=1", "\u{fc}=1"] {
            let cookie =
                HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_bytes(cookie.as_bytes()).unwrap())]);
            assert_eq!(remembered(&cookie), None);
        }
        let long = format!("viewer={}", "a".repeat(LONGEST + 1));
        for query in ["viewer=", "viewer", "viewer=%ff", &long] {
            assert!(Viewer::of(Some(query), &HeaderMap::new()).is_anonymous, "{query}");
        }
    }
}
